"""Exact duplicates, conflicting answers, and groups of records that belong together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lockstep.data.record_keys import Keys
from lockstep.params import Section

GroupIds = npt.NDArray[np.int32]
"""Number of each record's group: (records,)."""

Pairs = npt.NDArray[np.int64]
"""Pairs of indices, the smaller one first: (pairs, 2)."""


class DuplicatesParams(Section):
    """Treatment of near-duplicates and of conflicting answers."""

    threshold: Annotated[float, Field(gt=0.3, le=1)]
    """Minimum Jaccard similarity of two questions' character 5-grams to be near-duplicates."""
    near: Literal["group", "merge"]
    """group: all near-duplicates stay, in the same split; merge: only the first question stays,
    with all its answers. Similar questions with other numbers, signs, system turns or tools
    stay."""
    conflicts: Literal["keep", "drop", "majority"]
    """Records with the same question and different right answers: keep all, drop all, or keep only
    those with the most frequent answer (majority). Preferences and ratings are no conflicts."""


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


def list_group_pairs(groups: GroupIds) -> Pairs:
    """Return pairs that connect the first member of each group with each other member."""
    first = _find_first_members(groups)[groups]
    later = np.flatnonzero(first != np.arange(len(groups)))
    return np.stack([first[later], later], 1)


def find_mixed_members(groups: GroupIds, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the indices of all members of the groups whose members have different values."""
    differs = values != values[_find_first_members(groups)[groups]]
    return np.flatnonzero(np.isin(groups, groups[differs]))


def _find_first_members(groups: GroupIds) -> npt.NDArray[np.int64]:
    """Return the index of the first member of each group: (groups,)."""
    return np.unique(groups, return_index=True)[1]
