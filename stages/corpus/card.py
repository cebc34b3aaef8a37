"""The data card: where every row went, and what each split is made of."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log2
from typing import Any

from stages.corpus.splitting import stratum
from stages.records import Record


def describe(records: list[Record]) -> dict[str, Any]:
    """Counts by task, source, language and slice; lengths in characters; quality scores."""
    return {
        "records": len(records),
        "tasks": count(record.task for record in records),
        "sources": count(record.source for record in records),
        "languages": count(record.language for record in records),
        "slices": _slices(records),
        "characters": {
            "question": _spread([len(record.question) for record in records]),
            "answer": _spread([len(record.answer) for record in records]),
            "whole": _spread([_length(record) for record in records]),
        },
        "quality": count(f"{record.quality:g}" for record in records),
    }


def labels(records: Iterable[Record]) -> dict[str, int]:
    """How often each answer occurs: the label balance of a classification task."""
    return count(record.answer for record in records)


def count(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, by name."""
    return dict(sorted(Counter(values).items()))


def drift(splits: Mapping[str, Sequence[Record]], by: Sequence[str]) -> dict[str, dict[str, float]]:
    """How far each held-out split is from training, by what they are made of: 0 alike, 1 apart.

    The Jensen-Shannon divergence in bits (Lin, 1991) of the shares of each value.
    """
    names: dict[str, Callable[[Record], Any]] = {
        "strata": lambda record: stratum(record, by),
        "task": lambda record: record.task,
        "language": lambda record: record.language,
        "length": lambda record: _length(record).bit_length(),
    }
    return {
        name: {
            side: round(_divergence(splits["train"], splits[side], value), 4)
            for side in ("validation", "test")
        }
        for name, value in names.items()
    }


def _divergence(
    one: Sequence[Record], other: Sequence[Record], value: Callable[[Record], Any]
) -> float:
    p, q = (Counter(map(value, records)) for records in (one, other))
    total_p, total_q = sum(p.values()), sum(q.values())
    if not total_p or not total_q:
        return 0.0
    total = 0.0
    for key in {*p, *q}:
        a, b = p[key] / total_p, q[key] / total_q
        middle = (a + b) / 2
        total += sum(x * log2(x / middle) / 2 for x in (a, b) if x)
    return abs(total)


def _spread(lengths: list[int]) -> dict[str, float]:
    if not lengths:
        return {"mean": 0, "median": 0, "longest": 0}
    return {
        "mean": round(statistics.fmean(lengths), 1),
        "median": statistics.median_low(lengths),
        "longest": max(lengths),
    }


def _slices(records: list[Record]) -> dict[str, dict[str, int]]:
    names = sorted({name for record in records for name in record.slices})
    return {name: count(r.slices[name] for r in records if name in r.slices) for name in names}


def _length(record: Record) -> int:
    return sum(len(message["content"]) for message in record.messages)
