"""Records that say the same: exactly, nearly, or with another answer."""

import hashlib
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import Field
from rensa import RMinHash

from lockstep.data import parallel, shingles
from lockstep.params import Section
from lockstep.records import Record

_NO_WORD = re.compile(r"[\W_]+")
_ASCII_WORDS = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(256))
"""What case-folding and `_NO_WORD` do to ASCII, in a tenth of the time."""

CHARACTERS = 5
"""Length of the character n-grams of which a text is the set."""

PERMUTATIONS = 64
_SEED = 1  # of the permutations: another one only moves the chance of a miss
_PAIRS, _CHARACTERS = 4096, 4_000_000  # that are compared at once
_AT_ONCE = 1_000_000  # pairs that wait for it

Numbers = npt.NDArray[np.int32]
"""The number of each record's group: (records,)."""

Keys = npt.NDArray[np.uint64]
"""128-bit digests, equal where what they stand for is: (records, 2); zeros stand for nothing."""

Bands = npt.NDArray[np.uint64]
"""Numbers of which two near-duplicates have one in common, most likely: (texts, bands)."""

Pairs = npt.NDArray[np.int64]
"""(pairs, 2) places in the list of records, the smaller one first."""


class DuplicatesParams(Section):
    """How near-duplicates and conflicting answers are treated."""

    threshold: Annotated[float, Field(gt=0.3, le=1)]
    """Minimum Jaccard similarity of two inputs' character 5-grams to be near-duplicates."""
    near: Literal["group", "merge"]
    """group: all near-duplicates stay, in the same split; merge: only the first one stays."""
    conflicts: Literal["keep", "drop", "majority"]
    """Records with the same input and different answers: keep all, drop all, or keep only those
    with the most frequent answer (majority)."""


def input_key(record: Record) -> tuple[Any, ...]:
    """What two records must share to have the same input: its words, in their order.

    Case, width, marks and blanks do not count; of a text without any word, all of it does. Tools
    and their calls count as they are.
    """
    said = [_words(message["content"]) for message in record.prompt]
    called = [message["tool_calls"] for message in record.prompt if "tool_calls" in message]
    return record.task, *said, *([called, record.tools] if called or record.tools else [])


def keys(records: Iterable[Record]) -> tuple[Keys, Keys, Keys]:
    """Input, all that is said, and group of each record.

    The input's is zero where no other answer would contradict this one: of plain text, and of
    preferences, which have two. The group's is zero where there is none.
    """
    inputs, said, groups = [], [], []
    for record in records:
        asked = orjson.dumps(input_key(record), option=orjson.OPT_SORT_KEYS)
        answered = orjson.dumps([record.answer, record.rejected, record.desirable])
        inputs.append(asked if record.prompt and record.rejected is None else b"")
        said.append(asked + answered)
        groups.append(record.group.encode())
    return _digests(inputs), _digests(said), _digests(groups)


def _digests(contents: Iterable[bytes]) -> Keys:
    digests = [
        hashlib.blake2b(content, digest_size=16).digest() if content else bytes(16)
        for content in contents
    ]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def _words(text: str) -> str:
    if text.isascii():
        return b" ".join(text.encode().translate(_ASCII_WORDS).split()).decode() or text
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NO_WORD.sub(" ", folded).strip() or text


def losers(answers: Sequence[str], policy: str) -> list[int]:
    """Which answers of one input have to go; without a majority all of them."""
    if policy == "keep":
        return []
    (best, votes), (_, second) = Counter(answers).most_common(2)
    everyone = policy == "drop" or votes == second
    return [place for place, answer in enumerate(answers) if everyone or answer != best]


def bands(texts: shingles.Texts, threshold: float) -> Bands:
    """MinHash signatures (Broder, 1997) in bands, each as one number.

    Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4. The chance that a pair at the
    threshold has none in common is below 2 % at 0.5 and above.
    """
    rows = _rows_of_band(threshold)
    if len(texts.offsets) == 1:
        return np.empty((0, PERMUTATIONS // rows), np.uint64)
    grams = shingles.character_grams(texts, CHARACTERS)
    digest = RMinHash.digest_matrix_from_flat_token_hashes(
        grams.hashes, grams.offsets.astype(np.uint64), PERMUTATIONS, _SEED
    )
    flat = b"".join(array("I", row) for row in digest.to_rows())  # a third of np.array's time
    signatures = np.frombuffer(flat, np.uint32).reshape(-1, PERMUTATIONS // rows, rows)
    odd = np.array([pow(0x9E3779B97F4A7C15, k, 2**64) for k in range(1, rows + 1)], np.uint64)
    return (signatures * odd).sum(2, dtype=np.uint64)


def near(bands: Bands, text: Callable[[int], str], threshold: float) -> Pairs:
    """Pairs at least as similar as the threshold, enough to connect each group.

    Those with a band in common are compared exactly; `text` gives the text of a place.
    """
    return _similar(_pairs(map(_neighbours, bands.T), len(bands)), text, threshold)


def beside(texts: Sequence[str], others: Sequence[str], threshold: float) -> set[int]:
    """Places of the texts that are near-duplicates of one of the others."""
    asked, known = (shingles.spelled(shingles.normalize(some)) for some in (texts, others))
    found = {*asked} & {*known}
    open_ = {name: text for name, text in zip(asked, texts, strict=True) if name not in found}
    theirs = [*dict(zip(known, others, strict=True)).values()]
    names, both = [*open_], [*open_.values(), *theirs]
    if names and theirs:
        ours = _all_bands([*open_.values()], threshold)
        for pairs in _meeting(ours, _all_bands(theirs, threshold)):
            similar = _similar(pairs + np.array([0, len(names)]), both.__getitem__, threshold)
            found |= {names[place] for place in similar[:, 0].tolist()}
    return {place for place, name in enumerate(asked) if name in found}


def groups(count: int, pairs: Iterable[Pairs]) -> Numbers:
    """The groups that pairs join."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    joined = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    matrix = coo_matrix((np.ones(len(joined), bool), joined.T), shape=(count, count))
    return connected_components(matrix, directed=False)[1]


def alike(keys: Keys) -> Pairs:
    """Pairs (first, later) of places with equal keys; a key of zeros is nobody's."""
    known = np.flatnonzero(keys.any(1))
    twice = known[np.unique(_neighbours(keys[known, 0]))]  # or few that only begin alike
    first: dict[bytes, int] = {}
    pairs = [(first.setdefault(keys[place].tobytes(), place), place) for place in twice.tolist()]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def _all_bands(texts: Sequence[str], threshold: float) -> Bands:
    chunks = parallel.chunks(texts, len)
    return np.concatenate(list(parallel.each(partial(_bands_of, threshold), chunks)))


def _bands_of(threshold: float, texts: Sequence[str]) -> Bands:
    return bands(shingles.normalize(texts), threshold)


def _rows_of_band(threshold: float) -> int:
    """The most rows of a band with which a pair at the threshold is missed in 2 % at most."""
    rows = [1, 2, 4, 8, 16]
    missed = {r: (1 - threshold**r) ** (PERMUTATIONS // r) for r in rows}
    return max((r for r in rows if missed[r] <= 0.02), default=1)


def _neighbours(band: npt.NDArray[np.uint64]) -> Pairs:
    """Pairs of one bucket: each place with the one before it, and with the first.

    A sort of numbers that end with their place takes a fifth of the time of an argsort.
    """
    count = len(band)
    low = np.uint64((1 << count.bit_length()) - 1)
    ordered = np.sort((band & ~low) | np.arange(count, dtype=np.uint64))
    places = (ordered & low).astype(np.int64)
    same = ((ordered[1:] ^ ordered[:-1]) & ~low) == 0
    later = np.flatnonzero(same) + 1
    begins = np.flatnonzero(np.append(True, ~same))
    first = begins[np.searchsorted(begins, later, "right") - 1]
    earlier = np.concatenate([later - 1, first])
    return np.stack([places[earlier], places[np.tile(later, 2)]], 1)


def _meeting(ours: Bands, theirs: Bands) -> Iterator[Pairs]:
    """Pairs (our place, their place) with a band in common, about a million at a time."""
    order = np.argsort(theirs, axis=0, kind="stable")
    known = np.take_along_axis(theirs, order, axis=0)
    begin, end = (
        np.stack([np.searchsorted(*both, side) for both in zip(known.T, ours.T, strict=True)], 1)
        for side in ("left", "right")
    )
    counts = end - begin
    part = np.cumsum(counts.sum(1)) // _AT_ONCE
    for places in np.split(np.arange(len(ours)), np.flatnonzero(np.diff(part)) + 1):
        count = counts[places].ravel()
        ends = np.cumsum(count)
        inside = np.repeat(begin[places].ravel() - ends + count, count) + np.arange(ends[-1])
        band = np.repeat(np.tile(np.arange(ours.shape[1]), len(places)), count)
        our = np.repeat(np.repeat(places, ours.shape[1]), count)
        yield _decoded(our * len(theirs) + order[inside, band], len(theirs))


def _pairs(found: Iterable[Pairs], count: int) -> Pairs:
    """The pairs of places below `count`, each once, the smaller place first."""
    codes = [pairs.min(1) * count + pairs.max(1) for pairs in found]
    return _decoded(np.concatenate([np.empty(0, np.int64), *codes]), max(count, 1))


def _decoded(codes: npt.NDArray[np.int64], count: int) -> Pairs:
    """The pairs whose codes are one place times `count` plus the other, each pair once."""
    codes = np.sort(codes)
    once = np.append(True, codes[1:] != codes[:-1])[: len(codes)]
    return np.stack(np.divmod(codes[once], count), 1)


def _similar(pairs: Pairs, text: Callable[[int], str], threshold: float) -> Pairs:
    """Those of the pairs that are at least as similar as the threshold."""
    kept = [np.empty((0, 2), np.int64)]
    at = 0
    while at < len(pairs):
        texts: dict[int, str] = {}
        characters, begin = 0, at
        while at < len(pairs) and at - begin < _PAIRS and characters < _CHARACTERS:
            for place in pairs[at].tolist():
                if place not in texts:
                    texts[place] = text(place)
                characters += len(texts[place])
            at += 1
        part = pairs[begin:at]
        number = {place: number for number, place in enumerate(texts)}
        inside = np.array([[number[place] for place in pair] for pair in part.tolist()], np.int64)
        kept.append(part[_jaccard([*texts.values()], inside) >= threshold])
    return np.concatenate(kept)


def _jaccard(texts: Sequence[str], pairs: Pairs) -> npt.NDArray[np.float64]:
    """Shared n-grams over all of them, of each pair of texts; 1 for two empty ones: (pairs,)."""
    grams = shingles.character_grams(shingles.normalize(texts), CHARACTERS)
    sets = shingles.sets(grams)
    sizes = np.diff(sets.offsets)[pairs]
    shared = shingles.shared(sets.of(pairs[:, 0]), sets.of(pairs[:, 1]))
    union = sizes.sum(1) - shared
    return np.where(union > 0, shared / np.maximum(union, 1), 1.0)
