"""The data card: how many rows became records, and what each split consists of."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lockstep import records
from lockstep.data.record_metadata import RecordMetadata, extract_metadata
from lockstep.records import Record

Lengths = npt.NDArray[np.int32]
"""Numbers of characters of the question, the answer and all messages: (records, 3)."""


@dataclass(frozen=True, slots=True)
class RecordStatistics:
    """Metadata and lengths of some records, e.g. of a split."""

    metadata: Counter[RecordMetadata]
    """Number of records with each metadata."""
    lengths: Lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def count(self, key: Callable[[RecordMetadata], Hashable]) -> Counter[Any]:
        """Return the number of records for each value of `key`."""
        counts: Counter[Any] = Counter()
        for values, number in self.metadata.items():
            counts[key(values)] += number
        return counts


def compute_statistics(rows: Sequence[Record]) -> RecordStatistics:
    """Return the statistics of these records."""
    return RecordStatistics(Counter(map(extract_metadata, rows)), measure_lengths(rows))


def measure_lengths(rows: Sequence[Record]) -> Lengths:
    """Return the lengths of the question, the answer and all messages of each record."""
    lengths = [
        (
            len(record.question),
            len(record.answer),
            sum([len(m["content"]) for m in record.messages]),
        )
        for record in rows
    ]
    return np.array(lengths, np.int32).reshape(-1, 3)


def describe_records(statistics: RecordStatistics) -> dict[str, Any]:
    """Return counts by task, source, language, slice and quality, and lengths in characters."""
    columns = zip(("question", "answer", "whole"), statistics.lengths.T, strict=True)
    return {
        "records": len(statistics),
        "tasks": sort_by_name(statistics.count(lambda values: values.task)),
        "sources": sort_by_name(statistics.count(lambda values: values.source)),
        "languages": sort_by_name(statistics.count(lambda values: values.language)),
        "slices": _count_slices(statistics),
        "characters": {name: _summarize_lengths(column) for name, column in columns},
        "quality": sort_by_name(statistics.count(lambda values: f"{values.quality:g}")),
    }


def count_labels(
    splits: Collection[RecordStatistics], sources: Collection[str]
) -> dict[str, dict[str, int]]:
    """Return how often each label occurs, by task, for the tasks of these sources."""
    tasks = {
        values.task for split in splits for values in split.metadata if values.source in sources
    }
    return _count_task_labels(splits, tasks)


def find_untrained_labels(
    splits: Mapping[str, RecordStatistics], labels: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """Return the labels that no training record has, with their number of records, by task.

    `labels` are the counts over all splits. Tasks without any training record are left out.
    """
    trained = _count_task_labels([splits["train"]], labels.keys())
    untrained = {
        task: {label: count for label, count in counts.items() if label not in trained[task]}
        for task, counts in labels.items()
        if trained[task]
    }
    return {task: counts for task, counts in untrained.items() if counts}


def sort_by_name(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts in alphabetical order."""
    return dict(sorted(counts.items()))


def _count_task_labels(
    splits: Collection[RecordStatistics], tasks: Collection[str]
) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {task: Counter() for task in sorted(tasks)}
    for split in splits:
        for values, number in split.metadata.items():
            if values.task in tasks:
                for label in records.parse_labels(values.answer):
                    counts[values.task][label] += number
    return {task: sort_by_name(labels) for task, labels in counts.items()}


def _summarize_lengths(lengths: npt.NDArray[np.int32]) -> dict[str, float]:
    if not len(lengths):
        return {"mean": 0, "median": 0, "longest": 0}
    middle = (len(lengths) - 1) // 2
    return {
        "mean": round(int(lengths.sum(dtype=np.int64)) / len(lengths), 1),
        "median": int(np.partition(lengths, middle)[middle]),
        "longest": int(lengths.max()),
    }


def _count_slices(statistics: RecordStatistics) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for values, number in statistics.metadata.items():
        for name, value in values.slices:
            counts.setdefault(name, Counter())[value] += number
    return {name: sort_by_name(counts[name]) for name in sorted(counts)}
