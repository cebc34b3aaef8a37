"""A split by hash: groups stay whole, and a record stays where it is when others come."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.params import NaturalInt, Rate, Section
from stages.records import Record

Splits = dict[str, list[Record]]

HELD_OUT_FIRST = ("test", "validation", "train", "auto")
"""Who keeps a duplicate; a row that we place ourselves (auto) gives way to any that is placed."""


class Split(Section):
    """Shares of the records that the sources leave to us; the rest is for training."""

    method: Literal["hash", "quota"]
    """hash: a record keeps its split when others are added, shares hold on average;
    quota: shares hold in each stratum, an added record may move others."""
    validation: Rate
    test: Rate
    by: list[str]
    """Strata: `task`, `answer` (for labels) or the name of a slice."""
    folds: NaturalInt
    """k of k-fold cross-validation: the test split is one fold of k; 0: no folds."""
    fold: NaturalInt
    """Which fold is the test split, from 0."""
    train_fraction: Annotated[float, Field(gt=0, le=1)]
    """Share of the training records that is used, for learning curves; smaller ones are subsets."""

    @model_validator(mode="after")
    def _sensible(self) -> "Split":
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

    def side(self, place: float) -> str:
        """The split of a place in [0, 1): the fold is the test's, what follows validation's."""
        from_test = (place - self.fold * self.test_share * bool(self.folds)) % 1.0
        if from_test < self.test_share:
            return "test"
        return "validation" if from_test < self.test_share + self.validation else "train"


def split(
    groups: Sequence[list[Record]], asked: Mapping[str, str], chosen: Split, seed: int
) -> Splits:
    """Divide groups of records that belong together into train, validation and test.

    `asked` maps a source to the split that it asks for. Where a group has such a record, the
    others follow it (the most held-out one), unless that split is to have none but its source's:
    then they are training's, and `torn`, as are records whose sources ask for different splits.
    """
    splits: Splits = {"train": [], "validation": [], "test": []}
    free = []
    for group in groups:
        wanted = {asked[record.source] for record in group} - {"auto"}
        if not wanted:
            free.append(group)
            continue
        side = min(wanted, key=HELD_OUT_FIRST.index)
        if not chosen.shares[side]:
            side = "train"
        for record in group:
            own = asked[record.source]
            splits[side if own == "auto" else own].append(record)
    for group, place in _places(free, chosen, seed):
        splits[chosen.side(place)].extend(group)
    order = {id(record): place for place, record in enumerate(chain.from_iterable(groups))}
    return {name: sorted(part, key=lambda r: order[id(r)]) for name, part in splits.items()}


def torn(splits: Splits, groups: Sequence[list[Record]]) -> list[tuple[Record, str]]:
    """(record, split) where a group also stands in that split, which is held out from the record's.

    That happens where sources ask for different splits.
    """
    sides = {record.id: name for name, rows in splits.items() for record in rows}
    found = []
    for group in groups:
        if len(group) > 1:
            held_out = min((sides[record.id] for record in group), key=HELD_OUT_FIRST.index)
            found += [(record, held_out) for record in group if sides[record.id] != held_out]
    return found


def part(records: list[Record], fraction: float, seed: int) -> list[Record]:
    """The share of the records with the smallest hashes: smaller parts lie within larger ones."""
    if fraction == 1.0:
        return records
    return [record for record in records if _uniform(f"{seed}/fraction/{record.id}") < fraction]


def _places(
    groups: Sequence[list[Record]], chosen: Split, seed: int
) -> list[tuple[list[Record], float]]:
    leaders = [min(_uniform(f"{seed}\n{_key(record)}") for record in group) for group in groups]
    if chosen.method == "hash":
        return [
            (group, _uniform(f"{seed}/{leader}"))
            for group, leader in zip(groups, leaders, strict=True)
        ]
    strata = defaultdict(list)
    for group, leader in zip(groups, leaders, strict=True):
        strata[stratum(group[0], chosen.by)].append((leader, group))
    placed = []
    for members in strata.values():
        members.sort(key=lambda member: member[0])
        total, before = sum(len(group) for _, group in members), 0
        for _, group in members:
            placed.append((group, (before + len(group) / 2) / total))
            before += len(group)
    return placed


def _key(record: Record) -> str:
    return record.group or record.asked


def stratum(record: Record, by: Sequence[str]) -> tuple[str, ...]:
    """The record's values of the strata."""
    values = {**record.slices, "task": record.task, "answer": record.answer}
    return tuple(values.get(name, "") for name in by)


def _uniform(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56
