"""What a record is, apart from what it says: the card counts it, strata are made of it."""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from lockstep.records import Record


class Traits(NamedTuple):
    """Few combinations stand for many records."""

    source: str
    task: str
    language: str
    quality: float
    slices: tuple[tuple[str, str], ...]
    kind: str
    """Kind of the answer, as far as the record itself shows it."""
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
    kind = answer_kind(record)
    return Traits(record.source, record.task, record.language, record.quality, slices, kind, answer)


def answer_kind(record: Record) -> str:
    """Return preference, unpaired_preference, calls, plain_text, json or text."""
    if record.rejected is not None:
        return "preference"
    if record.desirable is not None:
        return "unpaired_preference"
    if "tool_calls" in record.messages[-1]:
        return "calls"
    if not record.prompt:
        return "plain_text"
    return "json" if _is_json(record.answer) else "text"


def _is_json(text: str) -> bool:
    """Whether the text is a JSON object or list."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True
