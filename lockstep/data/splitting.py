"""Assignment of records to splits: groups stay whole, and no random state is involved.

A record's place depends on a hash of its text. The methods differ in how far it also depends on
other records: not at all (`hash`), where its stratum would miss its shares (`stratified`), or on
its rank in the stratum (`quota`).
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationInfo, field_validator, model_validator

from lockstep.data import stratified_split
from lockstep.data.duplicates import GroupIds
from lockstep.data.stratified_split import Strata
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
Uniform = npt.NDArray[np.float64]
"""Numbers in [0, 1)."""


class SplitParams(Section):
    """Division of the records of sources with `split: auto`; the rest is for training."""

    method: Literal["stratified", "hash", "quota"]
    """stratified: shares hold within one record or one point in each stratum, and few records
    move when others are added; hash: no record moves, shares are met on average; quota: shares are
    exact in each stratum, an added record may move others."""
    validation: Rate
    """Share of the records in the validation split."""
    test: Rate
    """Share of the records in the test split; ignored if `folds` is set."""
    by: list[str] = Field(default=[])
    """Strata: `task`, `answer` (for labels) or names of slices, the most important one first;
    empty: the task and the slices that all sources with `split: auto` have. A record that lacks a
    slice has the value "" in it. Not for method hash, which has no strata."""
    folds: NaturalInt = 0
    """Number of folds k in k-fold cross-validation: the test split is one of k folds; 0: none."""
    fold: NaturalInt = 0
    """Number of the fold that is the test split, from 0."""
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training records that is used, for learning curves; a smaller share is a
    subset of a larger one."""

    @field_validator("by")
    @classmethod
    def _refuse_ignored_strata(cls, by: list[str], info: ValidationInfo) -> list[str]:
        if by and info.data.get("method") == "hash":
            raise ValueError("method hash ignores strata; remove them or set method to stratified")
        return by

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
    strata: Strata,
    params: SplitParams,
) -> SplitIds:
    """Return the split of each record; the records of a group go together.

    A record whose source names a split goes there. The other records of its group go to the same
    split (to the first in PRIORITY if there are several). If the share of that split is 0, it
    consists of its sources alone, and the other records go to training.

    A group without such a record is assigned as a whole, and only these groups count in the
    shares. Its leader is the record with the smallest leader key. Method `hash` uses the leader's
    position, `stratified` corrects it where a stratum misses its shares, and `quota` uses the
    rank of the group in its leader's stratum, ordered by leader key.
    """
    group_splits = compute_group_minimum(source_splits, groups)
    has_share = [*(params.shares[name] > 0 for name in PRIORITY[:AUTO]), True]
    group_splits[~np.array(has_share)[group_splits]] = TRAIN
    is_free = group_splits == AUTO
    leaders = _find_leaders(groups, leader_keys)[is_free]
    if params.method == "stratified":
        is_free_record = is_free[groups]
        is_test, is_validation = stratified_split.divide_groups(
            (np.cumsum(is_free) - 1)[groups[is_free_record]],
            positions[leaders],
            strata.select(is_free_record),
            test=params.test_share,
            validation=params.validation,
            fold=params.fold if params.folds else 0,
        )
        free_splits = np.where(is_test, TEST, np.where(is_validation, VALIDATION, TRAIN))
    elif params.method == "hash":
        free_splits = params.assign_positions(positions[leaders])
    else:
        sizes = np.bincount(groups, minlength=len(is_free))[is_free]
        ranks = _compute_rank_positions(sizes, leader_keys[leaders], strata.select(leaders))
        free_splits = params.assign_positions(ranks)
    group_splits[is_free] = free_splits
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


def _find_leaders(groups: GroupIds, leader_keys: Uniform) -> npt.NDArray[np.int64]:
    """Return the index of each group's leader, the first of several with equal keys: (groups,)."""
    is_leader = leader_keys == compute_group_minimum(leader_keys, groups)[groups]
    leaders = np.zeros(groups.max(initial=-1) + 1, np.int64)
    indices = np.flatnonzero(is_leader)[::-1]
    leaders[groups[indices]] = indices
    return leaders


def _compute_rank_positions(
    sizes: npt.NDArray[np.int64], leader_keys: Uniform, strata: Strata
) -> Uniform:
    """Return the middle of each group's interval in its stratum, ordered by leader: (groups,)."""
    order = np.lexsort((leader_keys, strata.ids))
    before = np.cumsum(sizes[order]) - sizes[order]
    totals = np.bincount(strata.ids, sizes)
    begins = np.concatenate([[0], np.cumsum(totals)])[:-1]
    ordered_strata = strata.ids[order]
    middles = before - begins[ordered_strata] + sizes[order] / 2
    group_positions = np.zeros(len(sizes))
    group_positions[order] = middles / totals[ordered_strata]
    return group_positions
