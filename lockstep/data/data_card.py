"""The data card: where every row went, and what each split is made of."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from lockstep import records
from lockstep.data import traits
from lockstep.data.traits import Traits
from lockstep.records import Record

Lengths = npt.NDArray[np.int32]
"""Characters of the question, of the answer and of all turns: (records, 3)."""


@dataclass(frozen=True, slots=True)
class Part:
    """What the card tells some records by."""

    traits: Counter[Traits]
    """How many records have them."""
    lengths: Lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def count(self, value: Callable[[Traits], Hashable]) -> Counter[Any]:
        """How many records have each value."""
        counts: Counter[Any] = Counter()
        for kind, number in self.traits.items():
            counts[value(kind)] += number
        return counts


def part(rows: Sequence[Record]) -> Part:
    """What the card tells these records by."""
    return Part(Counter(map(traits.of, rows)), lengths(rows))


def lengths(rows: Sequence[Record]) -> Lengths:
    """Characters of the question, of the answer and of all turns."""
    found = [
        (len(record.question), len(record.answer), sum(len(m["content"]) for m in record.messages))
        for record in rows
    ]
    return np.array(found, np.int32).reshape(-1, 3)


def describe(part: Part) -> dict[str, Any]:
    """Counts by task, source, language and slice; lengths in characters; quality scores."""
    return {
        "records": len(part),
        "tasks": in_order(part.count(lambda kind: kind.task)),
        "sources": in_order(part.count(lambda kind: kind.source)),
        "languages": in_order(part.count(lambda kind: kind.language)),
        "slices": _slices(part),
        "characters": {
            name: _spread(column)
            for name, column in zip(("question", "answer", "whole"), part.lengths.T, strict=True)
        },
        "quality": in_order(part.count(lambda kind: f"{kind.quality:g}")),
    }


def labels(parts: Collection[Part], sources: Collection[str]) -> dict[str, dict[str, int]]:
    """How often each answer occurs in the tasks of these sources: the balance of their labels."""
    tasks = {kind.task for part in parts for kind in part.traits if kind.source in sources}
    return _answers(parts, tasks)


def unlearnt(
    parts: Mapping[str, Part], labels: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """How many held-out records have each of these labels that no training record has, by task;
    of those tasks that training knows."""
    learnt = _answers([parts["train"]], labels.keys())
    missing = {
        task: {label: count for label, count in own.items() if label not in learnt[task]}
        for task, own in labels.items()
        if learnt[task]
    }
    return {task: found for task, found in missing.items() if found}


def _answers(parts: Collection[Part], tasks: Collection[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {task: Counter() for task in sorted(tasks)}
    for part in parts:
        for kind, number in part.traits.items():
            if kind.task in tasks:
                for label in records.parse_labels(kind.answer):
                    counts[kind.task][label] += number
    return {task: in_order(found) for task, found in counts.items()}


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts by name."""
    return dict(sorted(counts.items()))


def drift(parts: Mapping[str, Part], by: Sequence[str]) -> dict[str, dict[str, float]]:
    """How far each held-out split is from training, by what they are made of: 0 alike, 1 apart.

    The Jensen-Shannon divergence in bits (Lin, 1991) of the shares of each value.
    """
    counted: dict[str, Callable[[Part], Counter[Any]]] = {
        "strata": lambda part: part.count(lambda kind: kind.stratum(by)),
        "task": lambda part: part.count(lambda kind: kind.task),
        "language": lambda part: part.count(lambda kind: kind.language),
        "length": lambda part: Counter(np.frexp(part.lengths[:, 2])[1].tolist()),  # powers of two
    }
    return {
        name: {
            side: round(_divergence(count(parts["train"]), count(parts[side])), 4)
            for side in ("validation", "test")
        }
        for name, count in counted.items()
    }


def _divergence(p: Counter[Any], q: Counter[Any]) -> float:
    total_p, total_q = sum(p.values()), sum(q.values())
    if not total_p or not total_q:
        return 0.0
    shares = [(p[key] / total_p, q[key] / total_q) for key in {*p, *q}]
    return abs(fsum(x * log2(2 * x / (a + b)) / 2 for a, b in shares for x in (a, b) if x))


def _spread(lengths: npt.NDArray[np.int32]) -> dict[str, float]:
    if not len(lengths):
        return {"mean": 0, "median": 0, "longest": 0}
    middle = (len(lengths) - 1) // 2
    return {
        "mean": round(int(lengths.sum(dtype=np.int64)) / len(lengths), 1),
        "median": int(np.partition(lengths, middle)[middle]),
        "longest": int(lengths.max()),
    }


def _slices(part: Part) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for kind, number in part.traits.items():
        for name, value in kind.slices:
            counts.setdefault(name, Counter())[value] += number
    return {name: in_order(counts[name]) for name in sorted(counts)}
