"""Metadata of records, which the data card counts and which define the strata."""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from lockstep.records import Record


class RecordMetadata(NamedTuple):
    """Values that many records share, so that few combinations describe all of them."""

    source: str
    task: str
    language: str
    quality: float
    slices: tuple[tuple[str, str], ...]
    """Names and values of the slices."""
    kind: str
    """Kind of the answer according to the record alone; its source may determine another kind."""
    answer: str
    """Answer of a record whose task has labels or whose stratum depends on it; otherwise empty."""

    def get_stratum(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the values of `task`, `answer` or slices; "" for a slice the record lacks."""
        values = {**dict(self.slices), "task": self.task, "answer": self.answer}
        return tuple(values.get(name, "") for name in names)


def extract_metadata(record: Record, with_answer: bool = False) -> RecordMetadata:
    """Return the record's metadata, with its answer only if `with_answer` is set."""
    return RecordMetadata(
        source=record.source,
        task=record.task,
        language=record.language,
        quality=record.quality,
        slices=tuple(record.slices.items()),
        kind=find_answer_kind(record),
        answer=record.answer if with_answer else "",
    )


def find_answer_kind(record: Record) -> str:
    """Return preference, unpaired_preference, calls, plain_text, json or text."""
    if record.rejected is not None:
        return "preference"
    if record.desirable is not None:
        return "unpaired_preference"
    answer = record.messages[-1]
    if "tool_calls" in answer:
        return "calls"
    if len(record.messages) == 1:
        return "plain_text"
    return "json" if _is_json(answer["content"]) else "text"


def _is_json(text: str) -> bool:
    """Whether the text is a JSON object or list."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True
