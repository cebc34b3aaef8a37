"""Assignment of records to splits: groups stay whole, and no random state is involved.

A record's place depends on a hash of its text, so it keeps its split when others are added.
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from lockstep.data.duplicates import GroupIds
from lockstep.params import NaturalInt, Rate, Section

SPLITS = ("train", "validation", "test")
"""Names of the splits, in the order in which users see them."""

PRIORITY = ("test", "validation", "train", "auto")
"""Splits in order of priority: of two duplicates, the one in the earlier split stays.

`auto` is the split of a source whose records are divided. `SplitIds` are indices of this tuple.
"""
TEST, VALIDATION, TRAIN, AUTO = range(4)

SplitIds = npt.NDArray[np.int8]
"""Split of each record, as its index in PRIORITY: (records,)."""
StratumIds = npt.NDArray[np.int32]
"""Number of each record's stratum: (records,)."""
Uniform = npt.NDArray[np.float64]
"""Numbers in [0, 1)."""


class SplitParams(Section):
    """Division of the records of sources with `split: auto`; the rest is for training."""

    method: Literal["hash", "quota"]
    """hash: a record keeps its split when others are added, shares are met on average;
    quota: shares are exact in each stratum, an added record may move others."""
    validation: Rate
    """Share of the records in the validation split."""
    test: Rate
    """Share of the records in the test split; ignored if `folds` is set."""
    by: list[str] = Field(default=[])
    """Strata: `task`, `answer` (for labels) or names of slices; empty: the task and the slices
    that all sources with `split: auto` have."""
    folds: NaturalInt = 0
    """Number of folds k in k-fold cross-validation: the test split is one of k folds; 0: none."""
    fold: NaturalInt = 0
    """Number of the fold that is the test split, from 0."""
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training records that is used, for learning curves; a smaller share is a
    subset of a larger one."""

    @model_validator(mode="after")
    def _check_shares(self) -> "SplitParams":
        if self.folds == 1 or (self.folds and self.fold >= self.folds):
            raise ValueError("fold must be below folds, and folds 0 or at least 2")
        if self.test_share + self.validation >= 1:
            raise ValueError(
                "validation and test together must be below 1, to leave training records"
            )
        return self

    @property
    def test_share(self) -> float:
        """Share of the test split: one of k folds, or `test`."""
        return 1 / self.folds if self.folds else self.test

    @property
    def shares(self) -> dict[str, float]:
        """Share of each split."""
        train = 1 - (self.test_share + self.validation)
        return {"test": self.test_share, "validation": self.validation, "train": train}

    def assign_positions(self, positions: Uniform) -> SplitIds:
        """Return the splits of positions in [0, 1).

        The interval of the fold (or the first one) is the test split, the next one validation.
        """
        distance = (positions - self.fold * self.test_share * bool(self.folds)) % 1.0
        is_evaluation = distance < self.test_share + self.validation
        not_test = np.where(is_evaluation, VALIDATION, TRAIN)
        return np.where(distance < self.test_share, TEST, not_test).astype(np.int8)


def assign_splits(
    groups: GroupIds,
    source_splits: SplitIds,
    leader_keys: Uniform,
    positions: Uniform,
    strata: StratumIds,
    params: SplitParams,
) -> SplitIds:
    """Return the split of each record; the records of a group go together.

    A record whose source names a split goes there. The other records of its group go to the same
    split (to the first in PRIORITY if there are several). If the share of that split is 0, it
    consists of its sources alone, and the other records go to training.

    A group without such a record is assigned as a whole. Its leader is the record with the
    smallest leader key. Method `hash` uses the leader's position, method `quota` the rank of the
    group in its stratum, ordered by leader key.
    """
    group_splits = compute_group_minimum(source_splits, groups)
    has_share = [*(params.shares[name] > 0 for name in PRIORITY[:AUTO]), True]
    group_splits[~np.array(has_share)[group_splits]] = TRAIN
    is_free = group_splits == AUTO
    if params.method == "hash":
        group_positions = _find_leader_positions(groups, leader_keys, positions)
    else:
        group_positions = _compute_rank_positions(groups, leader_keys, strata, is_free)
    group_splits[is_free] = params.assign_positions(group_positions[is_free])
    return np.where(source_splits == AUTO, group_splits[groups], source_splits)


def compute_group_minimum(values: npt.NDArray[Any], groups: GroupIds) -> npt.NDArray[Any]:
    """Return the minimum of each group's values: (groups,)."""
    minimum = np.full(groups.max(initial=-1) + 1, values.max(initial=0))
    np.minimum.at(minimum, groups, values)
    return minimum


def hash_to_uniform(texts: Iterable[str]) -> Uniform:
    """Return a number in [0, 1) for each text that depends only on the text: (texts,)."""
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in texts)
    return (np.frombuffer(digests, ">u8") >> 8) / 2**56


def _find_leader_positions(groups: GroupIds, leader_keys: Uniform, positions: Uniform) -> Uniform:
    """Return the position of each group's leader: (groups,)."""
    is_leader = leader_keys == compute_group_minimum(leader_keys, groups)[groups]
    group_positions = np.zeros(groups.max(initial=-1) + 1)
    group_positions[groups[is_leader]] = positions[is_leader]
    return group_positions


def _compute_rank_positions(
    groups: GroupIds, leader_keys: Uniform, strata: StratumIds, is_free: npt.NDArray[np.bool_]
) -> Uniform:
    """Return the middle of each group's interval in its stratum, ordered by leader: (groups,)."""
    sizes = np.bincount(groups, minlength=len(is_free)) * is_free
    group_strata = np.zeros(len(is_free), np.int64)
    group_strata[groups[::-1]] = strata[::-1]  # the stratum of the group's first record
    order = np.lexsort((compute_group_minimum(leader_keys, groups), group_strata))
    before = np.cumsum(sizes[order]) - sizes[order]
    totals = np.bincount(group_strata, sizes)
    begins = np.concatenate([[0], np.cumsum(totals)])[:-1]
    ordered_strata = group_strata[order]
    middles = before - begins[ordered_strata] + sizes[order] / 2
    group_positions = np.zeros(len(is_free))
    group_positions[order] = middles / np.maximum(totals[ordered_strata], 1)
    return group_positions
