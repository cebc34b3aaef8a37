"""The records that stay, in groups and splits; and those that go: why, because of which other."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lockstep.data import contamination, data_card, duplicates, shingles, splitting
from lockstep.data.duplicates import DuplicatesParams
from lockstep.data.record_table import Places, Table
from lockstep.data.splitting import HELD_OUT_FIRST, TEST, TRAIN


@dataclass(frozen=True, slots=True)
class Removed:
    """A record that stands in no split."""

    origin: str
    reason: str
    because_of: str
    """Origin of the record that stays instead (where none of a conflict stays, of another of it),
    or the split, or `benchmarks`, that it must not reach into."""


class Selection:
    """Takes records out of a table step by step, and remembers them."""

    def __init__(self, table: Table, asked: Mapping[str, str]) -> None:
        """`asked` maps a source to the split that it asks for."""
        sides = [HELD_OUT_FIRST.index(asked[kind.source]) for kind in table.traits]
        self.table = table
        self.asked: splitting.Sides = np.array(sides, np.int8)[table.trait]
        self.rows: Places = np.arange(len(table))
        """The records that are still in; what follows has an entry for each of them."""
        self.near: splitting.Numbers = np.arange(len(table), dtype=np.int32)
        """Groups of near-duplicates."""
        self.groups = self.near
        """The same, joined by what a group column says."""
        self.sides: splitting.Sides = np.full(len(table), TRAIN, np.int8)
        self.removed: list[Removed] = []
        self.conflicting = 0
        """Groups of records with one input and several answers."""
        self.largest_group = 0
        """Records of the largest group."""
        self.near_groups = 0
        """Groups of two or more records that are alike or belong together."""

    @property
    def counts(self) -> dict[str, int]:
        """How many records each reason took out."""
        return data_card.in_order(Counter(removed.reason for removed in self.removed))

    def split(self, name: str) -> Places:
        """The records of a split, in the order of the sources."""
        return self.rows[self.sides == HELD_OUT_FIRST.index(name)]

    def merge_duplicates(self) -> None:
        """Keep one of exact duplicates, the most held-out."""
        order = self._held_out_first()
        pairs = order[duplicates.alike(self.table.said[order])]
        for kept, place in pairs.tolist():
            self._remove(place, "duplicate", self._origin(kept))
        self._keep(~np.isin(self.rows, pairs[:, 1]))

    def settle_conflicts(self, policy: str) -> None:
        """Of records with one input and several answers, take out what the policy says."""
        lost: dict[int, int] = {}
        for group in self._same_input():
            answers = [self.table.record(place).answer for place in group]
            if len(set(answers)) > 1:
                self.conflicting += 1
                losers = duplicates.losers(answers, policy)
                stays = [at for at in range(len(group)) if at not in losers]
                for loser in losers:
                    other = stays[0] if stays else int(loser == 0)
                    lost[group[loser]] = group[other]
        for place in sorted(lost):
            self._remove(place, "conflict", self._origin(lost[place]))
        self._keep(~np.isin(self.rows, [*lost]))

    def group_near(self, chosen: DuplicatesParams) -> None:
        """Group near-duplicates, and those that one group column joins."""
        alike = duplicates.near(self.table.bands[self.rows], self._asked, chosen.threshold)
        if chosen.near == "merge":
            self._merge(duplicates.groups(len(self.rows), [alike]))
            alike = alike[:0]
        same = duplicates.alike(self.table.groups[self.rows])
        self.near = duplicates.groups(len(self.rows), [alike])
        self.groups = duplicates.groups(len(self.rows), [alike, same])
        sizes = np.bincount(self.groups)
        self.near_groups, self.largest_group = int((sizes > 1).sum()), int(sizes.max(initial=0))

    def divide(self, chosen: splitting.SplitParams, by: Sequence[str]) -> None:
        """Assign each record to a split, with strata named by `by`.

        Remove records whose near-duplicate or group member is in a split that is held out from
        theirs. That happens where sources ask for different splits.
        """
        strata: dict[tuple[str, ...], int] = {}
        numbers = [strata.setdefault(kind.stratum(by), len(strata)) for kind in self.table.traits]
        self.sides = splitting.split(
            self.groups,
            self.asked[self.rows],
            self.table.leader[self.rows],
            self.table.side[self.rows],
            np.array(numbers, np.int32)[self.table.trait[self.rows]],
            chosen,
        )
        self._drop_torn(self.near, "near_duplicate")
        self._drop_torn(self.groups, "group")

    def _drop_torn(self, groups: splitting.Numbers, reason: str) -> None:
        most = splitting.least(self.sides, groups)[groups]
        torn = most < self.sides
        self._drop(torn, reason, [HELD_OUT_FIRST[side] for side in most[torn].tolist()])

    def drop_contaminated(self, benchmarks: shingles.Hashes) -> None:
        """Take out of training and validation what shares runs of words with test or benchmarks."""
        tested = self.table.words.of(self.rows[self.sides == TEST]).hashes
        for held_out, name in ((tested, HELD_OUT_FIRST[TEST]), (benchmarks, "benchmarks")):
            found = contamination.holds(self.table.words, held_out)[self.rows]
            self._drop(found & (self.sides != TEST), "contaminated", itertools.repeat(name))

    def drop_unused(self, fraction: float, seed: int) -> None:
        """Keep the training records with the smallest hashes: smaller shares lie within larger."""
        if fraction < 1.0:
            ids = (self.table.record(row).id for row in self.rows.tolist())
            places = splitting.uniform(f"{seed}/fraction/{name}" for name in ids)
            unused = (self.sides == TRAIN) & (places >= fraction)
            self._drop(unused, "train_fraction", itertools.repeat(""))

    def write(self, path: Path) -> None:
        """One JSON line for each removed record."""
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            for row in self.removed:
                stream.write(json.dumps(asdict(row), sort_keys=True) + "\n")

    def parts(self, names: Iterable[str]) -> dict[str, data_card.Part]:
        """Return what the card needs to know of each split."""
        return {name: self.part(self.split(name)) for name in names}

    def part(self, rows: Places) -> data_card.Part:
        """What the card tells some records by."""
        counts = np.bincount(self.table.trait[rows], minlength=len(self.table.traits)).tolist()
        found = {kind: n for kind, n in zip(self.table.traits, counts, strict=True) if n}
        return data_card.Part(Counter(found), self.table.lengths[rows])

    def _same_input(self) -> list[list[int]]:
        """Places of records with the same input, of each input that several have."""
        groups: dict[int, list[int]] = {}
        for one, other in self.rows[duplicates.alike(self.table.inputs[self.rows])].tolist():
            groups.setdefault(one, [one]).append(other)
        return [*groups.values()]

    def _merge(self, numbers: duplicates.Numbers) -> None:
        first: dict[int, int] = {}
        for at in np.argsort(self.asked[self.rows], kind="stable").tolist():
            first.setdefault(int(numbers[at]), at)
        kept = np.array([first[number] for number in numbers.tolist()], np.int64)
        merged = kept != np.arange(len(kept))
        stays = map(self._origin, self.rows[kept[merged]].tolist())
        self._drop(merged, "near_duplicate", stays)

    def _held_out_first(self) -> Places:
        return self.rows[np.argsort(self.asked[self.rows], kind="stable")]

    def _drop(self, gone: npt.NDArray[np.bool_], reason: str, because_of: Iterable[str]) -> None:
        for place, cause in zip(self.rows[gone].tolist(), because_of, strict=False):
            self._remove(place, reason, cause)
        self._keep(~gone)

    def _keep(self, stays: npt.NDArray[np.bool_]) -> None:
        self.rows, self.sides = self.rows[stays], self.sides[stays]
        self.near, self.groups = self.near[stays], self.groups[stays]

    def _remove(self, place: int, reason: str, because_of: str) -> None:
        self.removed.append(Removed(self._origin(place), reason, because_of))

    def _origin(self, place: int) -> str:
        return self.table.record(place).origin

    def _asked(self, at: int) -> str:
        return self.table.record(self.rows[at]).user_text
