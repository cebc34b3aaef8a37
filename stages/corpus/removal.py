"""Records that are read but stand in no split: which, why, and because of which other."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.corpus import contamination, duplicates, splitting
from stages.corpus.duplicates import Duplicates
from stages.corpus.splitting import HELD_OUT_FIRST, Splits
from stages.records import Record


@dataclass(frozen=True, slots=True)
class Removed:
    """A record that stands in no split."""

    origin: str
    reason: str
    because_of: str
    """Origin of the record that stays instead, or the split that it must not reach into."""


class Removals:
    """Takes records out step by step and remembers them."""

    def __init__(self) -> None:
        self.removed: list[Removed] = []
        self.conflicting = 0
        """Groups of records with one input and several answers."""
        self.near_groups = 0
        """Groups of two or more records that are alike or belong together."""

    @property
    def counts(self) -> dict[str, int]:
        """How many records each reason took out."""
        reasons = [removed.reason for removed in self.removed]
        return {reason: reasons.count(reason) for reason in sorted(set(reasons))}

    def merge_duplicates(self, rows: list[Record], asked: Mapping[str, str]) -> list[Record]:
        """The rows without exact duplicates; of equal ones the most held-out stays."""
        merged = duplicates.exact(rows, _held_out_first(rows, asked))
        for place, kept in merged.items():
            self._remove(rows[place], "duplicate", rows[kept].origin)
        return [row for place, row in enumerate(rows) if place not in merged]

    def settle_conflicts(self, rows: list[Record], chosen: Duplicates) -> list[Record]:
        """The rows without those that lose a conflict of answers."""
        found = duplicates.conflicts(rows)
        self.conflicting = len(found)
        lost = {
            record.id: group[0].origin if group[0] is not record else group[1].origin
            for group in found
            for record in duplicates.losers(group, chosen.conflicts)
        }
        for row in rows:
            if row.id in lost:
                self._remove(row, "conflict", lost[row.id])
        return [row for row in rows if row.id not in lost]

    def group_near(
        self, rows: list[Record], asked: Mapping[str, str], chosen: Duplicates
    ) -> list[list[Record]]:
        """The rows in groups of near-duplicates and of those that one group column joins."""
        texts = [row.asked for row in rows]
        alike = duplicates.near(texts, chosen.threshold)
        if chosen.near == "merge":
            kept = self._merge(rows, duplicates.groups(len(rows), [alike]), asked)
            return self._grouped(kept, duplicates.groups(len(kept), [_same_group(kept)]))
        return self._grouped(rows, duplicates.groups(len(rows), [alike, _same_group(rows)]))

    def drop_torn(self, splits: Splits, groups: Sequence[list[Record]]) -> None:
        """Take out of a split what is alike a record of one that is held out from it."""
        found = {record.id: side for record, side in splitting.torn(splits, groups)}
        self._drop(splits, "near_duplicate", lambda record: found.get(record.id))

    def drop_contaminated(self, splits: Splits, benchmarks: Sequence[str], words: int) -> None:
        """Take out of training and validation what shares n-grams with test or benchmark texts."""
        held_out = [*(record.asked for record in splits["test"]), *benchmarks]
        rows = [*splits["train"], *splits["validation"]]
        found = {record.id for record in contamination.overlapping(rows, held_out, words)}
        for name in ("train", "validation"):
            self._drop(
                splits, "contaminated", lambda record: "test" if record.id in found else None, name
            )

    def drop_unused(self, splits: Splits, fraction: float, seed: int) -> None:
        """Keep the share of the training records that is wanted."""
        used = {record.id for record in splitting.part(splits["train"], fraction, seed)}
        self._drop(
            splits, "train_fraction", lambda record: None if record.id in used else "", "train"
        )

    def write(self, path: Path) -> None:
        """One JSON line for each removed record."""
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            for row in self.removed:
                values = {
                    "origin": row.origin,
                    "reason": row.reason,
                    "because_of": row.because_of,
                }
                stream.write(json.dumps(values, sort_keys=True) + "\n")

    def _remove(self, record: Record, reason: str, because_of: str) -> None:
        self.removed.append(Removed(record.origin, reason, because_of))

    def _drop(
        self,
        splits: Splits,
        reason: str,
        because_of: Callable[[Record], str | None],
        *names: str,
    ) -> None:
        for name in names or splits:
            kept = []
            for record in splits[name]:
                cause = because_of(record)
                if cause is None:
                    kept.append(record)
                else:
                    self._remove(record, reason, cause)
            splits[name] = kept

    def _merge(
        self, rows: list[Record], numbers: duplicates.Numbers, asked: Mapping[str, str]
    ) -> list[Record]:
        first: dict[int, Record] = {}
        for place in _held_out_first(rows, asked):
            first.setdefault(int(numbers[place]), rows[place])
        kept = []
        for row, number in zip(rows, numbers, strict=True):
            if first[int(number)] is row:
                kept.append(row)
            else:
                self._remove(row, "near_duplicate", first[int(number)].origin)
        return kept

    def _grouped(self, rows: list[Record], numbers: duplicates.Numbers) -> list[list[Record]]:
        groups: dict[int, list[Record]] = {}
        for row, number in zip(rows, numbers, strict=True):
            groups.setdefault(int(number), []).append(row)
        self.near_groups = sum(len(group) > 1 for group in groups.values())
        return list(groups.values())


def _same_group(rows: Sequence[Record]) -> duplicates.Pairs:
    return duplicates.alike([row.group and f"{row.source}/{row.group}" for row in rows])


def _held_out_first(rows: Sequence[Record], asked: Mapping[str, str]) -> list[int]:
    ranks = {source: HELD_OUT_FIRST.index(side) for source, side in asked.items()}
    return sorted(range(len(rows)), key=lambda place: ranks[rows[place].source])
