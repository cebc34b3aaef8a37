"""What a record is, apart from what it says: the card counts it, strata are made of it."""

from collections.abc import Sequence
from typing import NamedTuple

from lockstep.records import Record


class Traits(NamedTuple):
    """Few combinations stand for many records."""

    source: str
    task: str
    language: str
    quality: float
    slices: tuple[tuple[str, str], ...]
    answer: str
    """Of a task with labels, or where the answer is a stratum; otherwise empty."""

    def stratum(self, by: Sequence[str]) -> tuple[str, ...]:
        """The values of `task`, `answer` or slices; empty for a slice that the record lacks."""
        values = {**dict(self.slices), "task": self.task, "answer": self.answer}
        return tuple(values.get(name, "") for name in by)


def of(record: Record, with_answer: bool = False) -> Traits:
    """The record's traits, which hold its answer only where that is asked for."""
    answer = record.answer if with_answer else ""
    slices = tuple(record.slices.items())
    return Traits(record.source, record.task, record.language, record.quality, slices, answer)
