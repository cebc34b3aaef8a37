"""Exact duplicates, conflicting answers, and groups of records that belong together."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import Field

from lockstep.params import Section
from lockstep.records import Record

_NON_WORD = re.compile(r"[\W_]+")
_ASCII_WORDS = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(256))
"""Translation table for ASCII, ten times faster than case folding and `_NON_WORD` together."""

GroupIds = npt.NDArray[np.int32]
"""Number of each record's group: (records,)."""

Keys = npt.NDArray[np.uint64]
"""128-bit digests, equal for equal contents: (records, 2). Zeros stand for no content."""

Pairs = npt.NDArray[np.int64]
"""Pairs of indices, the smaller one first: (pairs, 2)."""


class DuplicatesParams(Section):
    """Treatment of near-duplicates and of conflicting answers."""

    threshold: Annotated[float, Field(gt=0.3, le=1)]
    """Minimum Jaccard similarity of two inputs' character 5-grams to be near-duplicates."""
    near: Literal["group", "merge"]
    """group: all near-duplicates stay, in the same split; merge: only the first one stays."""
    conflicts: Literal["keep", "drop", "majority"]
    """Records with the same input and different answers: keep all, drop all, or keep only those
    with the most frequent answer (majority)."""


def normalize_input(record: Record) -> tuple[Any, ...]:
    """Return the task, words and tools of a record; they are equal for records with the same input.

    Case, width, punctuation and blanks of the messages are ignored, unless a message has no word.
    Tools and tool calls must be equal.
    """
    texts = [_extract_words(message["content"]) for message in record.prompt]
    calls = [message["tool_calls"] for message in record.prompt if "tool_calls" in message]
    return record.task, *texts, *([calls, record.tools] if calls or record.tools else [])


def compute_keys(records: Iterable[Record]) -> tuple[Keys, Keys, Keys]:
    """Return the keys of each record's input, of its input and answer, and of its group.

    The input key is zero if the record cannot conflict with another one, which is so for plain
    text and for preferences. The group key is zero if the record has no group.
    """
    inputs, contents, groups = [], [], []
    for record in records:
        question = orjson.dumps(normalize_input(record), option=orjson.OPT_SORT_KEYS)
        answer = orjson.dumps([record.answer, record.rejected, record.desirable])
        inputs.append(question if record.prompt and record.rejected is None else b"")
        contents.append(question + answer)
        groups.append(record.group.encode())
    return _digest_all(inputs), _digest_all(contents), _digest_all(groups)


def find_removed_answers(answers: Sequence[str], policy: str) -> list[int]:
    """Return the indices of the answers to one input that the conflict policy removes.

    If no answer has a majority, `majority` removes all of them.
    """
    if policy == "keep":
        return []
    (winner, votes), (_, runner_up_votes) = Counter(answers).most_common(2)
    remove_all = policy == "drop" or votes == runner_up_votes
    return [index for index, answer in enumerate(answers) if remove_all or answer != winner]


def find_equal_pairs(keys: Keys) -> Pairs:
    """Return pairs (first, later) of indices with equal keys; zero keys equal no other key."""
    nonzero = np.flatnonzero(keys.any(1))
    candidates = nonzero[np.unique(pair_equal_values(keys[nonzero, 0]))]
    first: dict[bytes, int] = {}
    pairs = [
        (first.setdefault(keys[index].tobytes(), index), index) for index in candidates.tolist()
    ]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def pair_equal_values(values: npt.NDArray[np.uint64]) -> Pairs:
    """Pair each index with the previous and with the first index of an equal value.

    Only the leading bits are compared, so a few pairs have unequal values. Sorting numbers that
    end with their index is five times faster than argsort.
    """
    count = len(values)
    low_bits = np.uint64((1 << count.bit_length()) - 1)
    ordered = np.sort((values & ~low_bits) | np.arange(count, dtype=np.uint64))
    indices = (ordered & low_bits).astype(np.int64)
    is_equal = ((ordered[1:] ^ ordered[:-1]) & ~low_bits) == 0
    later = np.flatnonzero(is_equal) + 1
    begins = np.flatnonzero(np.append(True, ~is_equal))
    first = begins[np.searchsorted(begins, later, "right") - 1]
    earlier = np.concatenate([later - 1, first])
    return np.stack([indices[earlier], indices[np.tile(later, 2)]], 1)


def group_pairs(count: int, pairs: Iterable[Pairs]) -> GroupIds:
    """Return the groups into which the pairs connect `count` records (connected components)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    matrix = coo_matrix((np.ones(len(edges), bool), edges.T), shape=(count, count))
    return connected_components(matrix, directed=False)[1]


def _digest_all(contents: Iterable[bytes]) -> Keys:
    digests = [
        hashlib.blake2b(content, digest_size=16).digest() if content else bytes(16)
        for content in contents
    ]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def _extract_words(text: str) -> str:
    """Return the words in lower case between single spaces, or the text if it has no word."""
    if text.isascii():
        return b" ".join(text.encode().translate(_ASCII_WORDS).split()).decode() or text
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NON_WORD.sub(" ", folded).strip() or text
