"""Duplicates merged, and a split in which near-identical inputs stay on one side."""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping

from stages.params import Rate, Section
from stages.records import Record

Splits = dict[str, list[Record]]

_NEITHER_LETTER_NOR_DIGIT = re.compile(r"[\W_]+")
_DIGIT = re.compile(r"\d")
_HELD_OUT_FIRST = ("test", "validation", "train", "auto")


class Split(Section):
    """Shares of the records that the sources leave to us; the rest is for training."""

    validation: Rate
    test: Rate
    by: list[str]
    """Strata: `task`, `answer` (for labels) or the name of a slice; each is divided alike."""


def skeleton(text: str) -> str:
    """What near-identical inputs share: no case, width, punctuation, blanks or digit values."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _DIGIT.sub("0", _NEITHER_LETTER_NOR_DIGIT.sub("", folded))


def merge_duplicates(
    records: Iterable[Record], fixed: Mapping[str, str]
) -> tuple[list[Record], dict[str, str]]:
    """One of each group of equal records, and for the others: origin -> origin kept.

    The most held-out one stays, of those the first: training does not take rows from a test file.
    """
    rows = list(records)
    best: dict[str, Record] = {}
    for row in sorted(rows, key=lambda row: _HELD_OUT_FIRST.index(fixed[row.source])):
        best.setdefault(row.id, row)
    kept = [row for row in rows if best[row.id] is row]
    return kept, {row.origin: best[row.id].origin for row in rows if best[row.id] is not row}


def split(records: list[Record], fixed: Mapping[str, str], shares: Split, seed: int) -> Splits:
    """Divide into train, validation and test.

    `fixed` maps a source to the split it asks for. A group of near-identical inputs goes where
    its most held-out member must go (test before validation before train), otherwise by its
    stratum's quota, in the order of a hash that depends on the seed and the input alone.
    """
    splits: Splits = {"train": [], "validation": [], "test": []}
    strata = defaultdict(list)
    for group in _groups(records):
        asked = {fixed[record.source] for record in group} - {"auto"}
        if asked:
            splits[_most_held_out(asked)].extend(group)
        else:
            strata[_stratum(group[0], shares.by)].append(group)
    for groups in strata.values():
        groups.sort(key=lambda group: _rank(group, seed))
        total = sum(map(len, groups))
        quota = {"test": shares.test * total, "validation": shares.validation * total}
        for group in groups:
            side = next((name for name in quota if quota[name] >= len(group) / 2), "train")
            if side in quota:
                quota[side] -= len(group)
            splits[side].extend(group)
    order = {record.id: place for place, record in enumerate(records)}
    return {name: sorted(rows, key=lambda row: order[row.id]) for name, rows in splits.items()}


def _groups(records: list[Record]) -> list[list[Record]]:
    groups = defaultdict(list)
    for record in records:
        groups[skeleton(record.question)].append(record)
    return list(groups.values())


def _most_held_out(asked: set[str]) -> str:
    return min(asked, key=_HELD_OUT_FIRST.index)


def _stratum(record: Record, by: list[str]) -> tuple[str, ...]:
    values = {**record.slices, "task": record.task, "answer": record.answer}
    return tuple(values.get(name, "") for name in by)


def _rank(group: list[Record], seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{skeleton(group[0].question)}".encode()).digest()
