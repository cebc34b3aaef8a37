"""A split by hash: groups stay whole, and a record stays where it is when others come."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from lockstep.params import NaturalInt, Rate, Section

HELD_OUT_FIRST = ("test", "validation", "train", "auto")
"""Who keeps a duplicate; a row that we place ourselves (auto) gives way to any that is placed."""
TEST, VALIDATION, TRAIN, AUTO = range(4)

Sides = npt.NDArray[np.int8]
"""Splits, by their places in HELD_OUT_FIRST: (records,)."""
Numbers = npt.NDArray[np.int32]
"""The number of each record's group or stratum: (records,)."""
Uniform = npt.NDArray[np.float64]
"""Numbers from 0 to 1."""


class SplitParams(Section):
    """How the records of sources with `split: auto` are divided; the rest is for training."""

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
    def _sensible(self) -> "SplitParams":
        if self.folds == 1 or (self.folds and self.fold >= self.folds):
            raise ValueError("fold must be below folds, and folds 0 or at least 2")
        if self.test_share + self.validation >= 1:
            raise ValueError("validation and test together must leave something for training")
        return self

    @property
    def test_share(self) -> float:
        """The test split's share: of k folds one."""
        return 1 / self.folds if self.folds else self.test

    @property
    def shares(self) -> dict[str, float]:
        """Each split's share of the records that the sources leave to us."""
        held_out = self.test_share + self.validation
        return {"test": self.test_share, "validation": self.validation, "train": 1 - held_out}

    def sides(self, places: Uniform) -> Sides:
        """The splits of places in [0, 1): the fold is the test's, what follows validation's."""
        from_test = (places - self.fold * self.test_share * bool(self.folds)) % 1.0
        held_out = np.where(from_test < self.test_share + self.validation, VALIDATION, TRAIN)
        return np.where(from_test < self.test_share, TEST, held_out).astype(np.int8)


def split(
    groups: Numbers,
    asked: Sides,
    leader: Uniform,
    side: Uniform,
    stratum: Numbers,
    chosen: SplitParams,
) -> Sides:
    """The split of each record, of groups that belong together.

    `asked` is what the record's source asks for. Where a group has a record that is placed so, the
    others follow it (the most held-out one), unless that split is to have none but its source's:
    then they are training's. Other groups go where the record with the smallest `leader` goes by
    its `side`, or by its rank in the stratum.
    """
    wanted = least(asked, groups)
    open_to_others = [*(chosen.shares[name] > 0 for name in HELD_OUT_FIRST[:AUTO]), True]
    wanted[~np.array(open_to_others)[wanted]] = TRAIN
    free = wanted == AUTO
    if chosen.method == "hash":
        place = _by_hash(groups, leader, side)
    else:
        place = _by_rank(groups, leader, stratum, free)
    wanted[free] = chosen.sides(place[free])
    return np.where(asked == AUTO, wanted[groups], asked)


def least(values: npt.NDArray[Any], groups: Numbers) -> npt.NDArray[Any]:
    """The smallest value of each group's records: (groups,)."""
    found = np.full(groups.max(initial=-1) + 1, values.max(initial=0))
    np.minimum.at(found, groups, values)
    return found


def uniform(texts: Iterable[str]) -> Uniform:
    """A number for each text that depends on it alone: (texts,)."""
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in texts)
    return (np.frombuffer(digests, ">u8") >> 8) / 2**56


def _by_hash(groups: Numbers, leader: Uniform, side: Uniform) -> Uniform:
    leads = leader == least(leader, groups)[groups]
    found = np.zeros(groups.max(initial=-1) + 1)
    found[groups[leads]] = side[leads]
    return found


def _by_rank(
    groups: Numbers, leader: Uniform, stratum: Numbers, free: npt.NDArray[np.bool_]
) -> Uniform:
    """The middle of each group's place among the records of its stratum, in order of leaders."""
    sizes = np.bincount(groups, minlength=len(free)) * free
    strata = np.zeros(len(free), np.int64)
    strata[groups[::-1]] = stratum[::-1]  # of a group's first record
    order = np.lexsort((least(leader, groups), strata))
    before = np.cumsum(sizes[order]) - sizes[order]
    totals = np.bincount(strata, sizes)
    begins = np.concatenate([[0], np.cumsum(totals)])[:-1]
    found = np.zeros(len(free))
    total = np.maximum(totals[strata[order]], 1)
    found[order] = (before - begins[strata[order]] + sizes[order] / 2) / total
    return found
