"""Grades that people gave to records: correct, complete and consistent, each from 1 to 5.

`python -m lockstep.human.grading_form` writes the form. A grade belongs to what the users and the
assistant say at the end, so it is found again if the task, the system message or the split changes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from lockstep.data.label_studio.agreement import measure_agreement
from lockstep.data.label_studio.voting import Vote
from lockstep.errors import UserError
from lockstep.rating_entries import READERS, Entry, read_files
from lockstep.records import Record

DIMENSIONS = {
    "correct": "Is everything that the answer says right?",
    "complete": "Does the answer hold everything that the question asks for?",
    "consistent": "Does the answer follow the guidelines, in form and terms, as other answers do?",
}
"""Question to the graders by dimension; they grade from 1 (worst) to 5 (best)."""

Grades = Mapping[str, Mapping[str, float]]
"""Mean grade by item code and dimension."""


def make_code(record: Record) -> str:
    """Return the item code of a record: a letter and twelve hexadecimal digits of a hash."""
    rejected = "" if record.rejected is None else record.with_rejected().answer
    text = "\n".join([record.user_text, record.answer, rejected])
    return "a" + hashlib.sha256(text.encode()).hexdigest()[:12]


def read_entries(root: Path, names: Iterable[str]) -> list[Entry]:
    """Return the grades in filled sheets and exports of Label Studio, relative to `root`.

    Raise UserError if a file is missing or not valid, or if a grader grades an item twice.
    """
    paths = [root / name for name in names]
    for path in paths:
        if path.suffix.lower() not in READERS:
            known = ", ".join(READERS)
            raise UserError(f"{path}: grades are in {known}; correct prepare.quality.grades")
        if not path.is_file():
            raise UserError(f"{path}: not found; put it there or correct prepare.quality.grades")
    return read_files(paths, DIMENSIONS)


def average_entries(entries: Iterable[Entry]) -> Grades:
    """Return the mean over the graders for each item and dimension."""
    values: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        for dimension, grade in entry.ratings.items():
            values[entry.item][dimension].append(grade)
    return {
        item: {dimension: fmean(grades) for dimension, grades in by_dimension.items()}
        for item, by_dimension in values.items()
    }


def describe_grades(entries: Collection[Entry], found: Collection[str]) -> dict[str, Any]:
    """Return the part of the data card: items whose record is there, and each dimension.

    `found` are the item codes of all records that were read.
    """
    items = {entry.item for entry in entries}
    return {
        "records": len(items & {*found}),
        "unmatched": len(items - {*found}),
        "dimensions": {
            dimension: _describe_dimension(entries, dimension) for dimension in DIMENSIONS
        },
    }


def _describe_dimension(entries: Iterable[Entry], dimension: str) -> dict[str, float]:
    """Return the mean over the items, and the agreement of the graders."""
    votes = [
        Vote(entry.rater, entry.item, str(entry.ratings[dimension]), "rating")
        for entry in entries
        if dimension in entry.ratings
    ]
    by_item: dict[str, list[float]] = defaultdict(list)
    for vote in votes:
        by_item[vote.task].append(float(vote.answer))
    mean = {"mean": round(fmean(map(fmean, by_item.values())), 4)} if by_item else {}
    return mean | measure_agreement(votes)
