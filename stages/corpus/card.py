"""The data card: where every row went, and what each split is made of."""

from collections import Counter
from collections.abc import Iterable
from statistics import mean
from typing import Any

from stages.records import Record


def describe(records: list[Record]) -> dict[str, Any]:
    """Counts by task, source and slice, and the length of inputs and answers in characters."""
    return {
        "records": len(records),
        "tasks": count(record.task for record in records),
        "sources": count(record.source for record in records),
        "slices": _slices(records),
        "characters": {
            "question_mean": round(mean(len(r.question) for r in records), 1) if records else 0,
            "answer_mean": round(mean(len(r.answer) for r in records), 1) if records else 0,
            "longest": max((_length(record) for record in records), default=0),
        },
    }


def labels(records: Iterable[Record]) -> dict[str, int]:
    """How often each answer occurs: the label balance of a classification task."""
    return count(record.answer for record in records)


def count(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, by name."""
    return dict(sorted(Counter(values).items()))


def _slices(records: list[Record]) -> dict[str, dict[str, int]]:
    names = sorted({name for record in records for name in record.slices})
    return {name: count(r.slices[name] for r in records if name in r.slices) for name in names}


def _length(record: Record) -> int:
    return sum(len(message["content"]) for message in record.messages)
