"""Records that say the same: exactly, nearly, or with another answer."""

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from rensa import RMinHash

from stages.corpus import parallel, shingles
from stages.params import Section
from stages.records import Record

_NO_WORD = re.compile(r"[\W_]+")

CHARACTERS = 5
"""Length of the character n-grams of which a text is the set."""

PERMUTATIONS = 64
_SEED = 1  # of the permutations: another one only moves the chance of a miss
_CHUNK = 8192

Numbers = npt.NDArray[np.int32]
"""The number of each record's group: (records,)."""

Pairs = npt.NDArray[np.int64]
"""(pairs, 2) places in the list of records, the smaller one first."""


class Duplicates(Section):
    """What counts as the same, and what becomes of it."""

    threshold: Annotated[float, Field(gt=0.3, le=1)]
    """Near-duplicates: the least Jaccard similarity of the inputs' character 5-grams."""
    near: Literal["group", "merge"]
    """group: near-duplicates stay, on one side of the split; merge: the first one stays."""
    conflicts: Literal["keep", "drop", "majority"]
    """Same input, different answers: keep all, drop all, or keep those of the majority."""


def input_key(record: Record) -> tuple[str, ...]:
    """What two records must share to have the same input: its words, in their order.

    Case, width, marks and blanks do not count; of a text without any word, all of it does. Tools
    and their calls count as they are.
    """
    said = [_words(message["content"]) for message in record.prompt]
    called = [message["tool_calls"] for message in record.prompt if "tool_calls" in message]
    more = [json.dumps([called, record.tools], sort_keys=True)] if called or record.tools else []
    return record.task, *said, *more


def _words(text: str) -> str:
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _NO_WORD.sub(" ", folded.casefold()).strip() or text


def exact(records: Sequence[Record], order: Sequence[int]) -> dict[int, int]:
    """Place of each exact duplicate -> place of the one that stays, the first in `order`."""
    first: dict[tuple[object, ...], int] = {}
    merged = {}
    for place in order:
        record = records[place]
        key = (input_key(record), record.answer, record.rejected, record.desirable)
        kept = first.setdefault(key, place)
        if kept != place:
            merged[place] = kept
    return merged


def conflicts(records: Iterable[Record]) -> list[list[Record]]:
    """Groups of records with one input and several answers."""
    groups = defaultdict(list)
    for record in records:
        if record.prompt and record.rejected is None:
            groups[input_key(record)].append(record)
    return [group for group in groups.values() if len({r.answer for r in group}) > 1]


def losers(group: list[Record], policy: str) -> list[Record]:
    """The records of a conflict that have to go; without a majority all of them."""
    if policy == "keep":
        return []
    (answer, votes), (_, second) = Counter(r.answer for r in group).most_common(2)
    if policy == "drop" or votes == second:
        return group
    return [record for record in group if record.answer != answer]


def near(texts: Sequence[str], threshold: float) -> Pairs:
    """Pairs of texts at least as similar as the threshold, enough to connect each group.

    MinHash (Broder, 1997) in bands (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets,
    3.4) finds candidates; each is then compared exactly. The chance that a pair at the threshold
    is missed is below 2 % at 0.5 and above.
    """
    candidates = _candidates(_all_signatures(texts), _rows_of_band(threshold))
    return candidates[_similar(texts, candidates, threshold)]


def beside(texts: Sequence[str], others: Sequence[str], threshold: float) -> set[int]:
    """Places of the texts that are near-duplicates of one of the others."""
    if not texts or not others:
        return set()
    rows = _rows_of_band(threshold)
    theirs, ours = _all_signatures(others), _all_signatures(texts)
    pairs = [np.empty((0, 2), np.int64)]
    for at in range(0, PERMUTATIONS, rows):
        known, wanted = (_hashed(some[:, at : at + rows]) for some in (theirs, ours))
        order = np.argsort(known, kind="stable")
        begin = np.searchsorted(known[order], wanted, "left")
        counts = np.searchsorted(known[order], wanted, "right") - begin
        ends = np.cumsum(counts)
        inside = np.repeat(begin - ends + counts, counts) + np.arange(counts.sum())
        place = np.repeat(np.arange(len(texts)), counts)
        pairs.append(np.stack([order[inside], len(others) + place], 1))
    candidates = np.unique(np.concatenate(pairs), axis=0)
    found = candidates[_similar([*others, *texts], candidates, threshold)]
    return {int(place) - len(others) for place in found[:, 1]}


def groups(count: int, pairs: Iterable[Pairs]) -> Numbers:
    """The groups that pairs join."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    joined = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    matrix = coo_matrix((np.ones(len(joined), bool), joined.T), shape=(count, count))
    return connected_components(matrix, directed=False)[1]


def alike(keys: Sequence[str]) -> Pairs:
    """Pairs that join the places of equal keys; an empty key is nobody's."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(key, place), place) for place, key in enumerate(keys) if key]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    yield from (texts[at : at + _CHUNK] for at in range(0, max(1, len(texts)), _CHUNK))


def _all_signatures(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    return np.concatenate(list(parallel.each(_signatures, _chunks(texts))))


def _signatures(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    """MinHash signatures: (texts, PERMUTATIONS)."""
    if not texts:
        return np.empty((0, PERMUTATIONS), np.uint32)
    grams = shingles.character_grams(shingles.normalize(texts), CHARACTERS)
    offsets = grams.offsets.astype(np.uint64)
    digest = RMinHash.digest_matrix_from_flat_token_hashes(
        grams.hashes, offsets, PERMUTATIONS, _SEED
    )
    return np.array(digest.to_rows(), np.uint32)


def _rows_of_band(threshold: float) -> int:
    """The most rows of a band with which a pair at the threshold is missed in 2 % at most."""
    rows = [1, 2, 4, 8, 16]
    missed = {r: (1 - threshold**r) ** (PERMUTATIONS // r) for r in rows}
    return max((r for r in rows if missed[r] <= 0.02), default=1)


def _candidates(signatures: npt.NDArray[np.uint32], rows: int) -> Pairs:
    """Pairs with an equal band: each with the one before it and with the first of its bucket."""
    pairs = [np.empty((0, 2), np.int64)]
    for at in range(0, PERMUTATIONS, rows):
        band = np.ascontiguousarray(signatures[:, at : at + rows])
        keys = _hashed(band)
        order = np.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]
        begins = np.concatenate([[True], ~same])
        first = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
        later = np.flatnonzero(~begins)
        pairs.append(np.stack([order[later - 1], order[later]], 1))
        pairs.append(np.stack([first[later], order[later]], 1))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def _hashed(band: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """One number for each row of a band; a collision costs a comparison, nothing else."""
    odd = np.array([pow(0x9E3779B97F4A7C15, k, 2**64) for k in range(1, band.shape[1] + 1)])
    return (band.astype(np.uint64) * odd.astype(np.uint64)).sum(1, dtype=np.uint64)


def _similar(texts: Sequence[str], pairs: Pairs, threshold: float) -> npt.NDArray[np.bool_]:
    """Whether each pair is at least as similar as the threshold: (pairs,)."""
    similar = np.empty(len(pairs), bool)
    for at in range(0, len(pairs), _CHUNK):
        part = pairs[at : at + _CHUNK]
        places, inside = np.unique(part, return_inverse=True)
        grams = shingles.character_grams(
            shingles.normalize([texts[place] for place in places]), CHARACTERS
        )
        sets = [
            np.unique(grams.hashes[begin:end])
            for begin, end in zip(grams.offsets[:-1], grams.offsets[1:], strict=True)
        ]
        for row, (one, other) in enumerate(inside.reshape(-1, 2)):
            similar[at + row] = jaccard(sets[one], sets[other]) >= threshold
    return similar


def jaccard(one: shingles.Hashes, other: shingles.Hashes) -> float:
    """Shared elements of two sorted sets over all of them; 1 for two empty ones."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - shared
    return shared / union if union else 1.0
