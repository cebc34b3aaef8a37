"""The data card of `prepare`: how many rows were rejected or removed, and what the splits hold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from lockstep.data import data_card, drift, quality, source_reading
from lockstep.data.label_studio.agreement import measure_agreement
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.rows.converted_rows import ConvertedRows
from lockstep.data.selection import Selection
from lockstep.data.source_report import SourceReport

_REMOVALS = {
    "conflict": ("conflict", "conflicts"),
    "contaminated": ("contaminated", "contaminated"),
    "duplicate": ("duplicate", "duplicates"),
    "group": ("held out by its group", "held out by their group"),
    "near_duplicate": ("near-duplicate", "near-duplicates"),
    "train_fraction": ("beyond train_fraction", "beyond train_fraction"),
}
"""Reason of a removal -> what the closing line calls one such record, and several."""


def build_card(
    selection: Selection,
    converted: ConvertedRows,
    reports: Sequence[SourceReport],
    benchmarks: Mapping[str, Sequence[object]],
    params: PrepareParams,
) -> dict[str, Any]:
    """Return the data card. `benchmarks` maps the path of a benchmark to its texts."""
    splits = selection.split_statistics()
    record_count = sum(map(len, splits.values()))
    left_out = count_left_out(reports)
    duplicates = selection.removal_counts.get("duplicate", 0)
    labelled_sources = _find_labelled_sources(converted, params)
    labels = data_card.count_labels(splits.values(), labelled_sources)
    comparisons = drift.measure_drift(
        selection.divided_statistics(), labelled_sources, selection.compute_average_group_size()
    )
    return {
        "rows": {
            "read": record_count
            + len(converted.rejected)
            + len(selection.removed)
            + left_out.total(),
            "kept": record_count,
            "left_out": left_out.total(),
            "rejected": len(converted.rejected),
            "duplicates": duplicates,
            "removed": len(selection.removed) - duplicates,
        },
        "sources": {report.source.name: report.describe() for report in reports},
        "rejected": data_card.sort_by_name(Counter(row.reason for row in converted.rejected)),
        "removed": selection.removal_counts,
        "conflicts": selection.conflict_count,
        "near_duplicate_groups": selection.shared_group_count,
        "cleaned": {step: converted.cleaned[step] for step in _list_all_steps(params)},
        "shortened": converted.shortened,
        "faults": {signal: converted.faults[signal] for signal in quality.SIGNALS},
        "agreement": _measure_agreement(converted),
        **({"grades": converted.grades} if converted.grades else {}),
        "labels": labels,
        "unlearnt_labels": data_card.find_untrained_labels(splits, labels),
        **({"rounds": params.rounds} if any(params.rounds.values()) else {}),
        "licences": {source.name: source.licence for source in params.sources},
        "drift": comparisons,
        "warnings": drift.describe_drift(comparisons),
        "splits": {name: data_card.describe_records(split) for name, split in splits.items()},
        "benchmark_texts": {path: len(texts) for path, texts in benchmarks.items()},
    }


def _list_all_steps(params: PrepareParams) -> list[str]:
    """Return the cleaning steps that at least one source has, in order."""
    lists = [
        steps
        for source in params.sources
        for steps in source_reading.list_source_steps(source, params).values()
    ]
    return [*dict.fromkeys(chain.from_iterable(lists))]


def format_counts(
    selection: Selection, converted: ConvertedRows, reports: Sequence[SourceReport]
) -> str:
    """Return the line that `prepare` prints at its end."""
    sizes = {name: len(split) for name, split in selection.split_statistics().items()}
    left_out = count_left_out(reports)
    number = sum(sizes.values()) + len(converted.rejected) + len(selection.removed)
    counts = ", ".join(f"{size} {name}" for name, size in sizes.items())
    removed = [
        f"{count} {_REMOVALS[reason][count > 1]}"
        for reason, count in selection.removal_counts.items()
    ]
    lost = [f"{count} left out by {setting}" for setting, count in left_out.items()]
    lost += [f"{len(converted.rejected)} rejected", *removed]
    return f"prepare: {number + left_out.total()} rows: {', '.join(lost)}; {counts}"


def count_left_out(reports: Sequence[SourceReport]) -> Counter[str]:
    """Return the number of rows that each setting of the sources leaves out."""
    counts: Counter[str] = Counter()
    for report in reports:
        counts += report.left_out
    return counts


def _find_labelled_sources(converted: ConvertedRows, params: PrepareParams) -> set[str]:
    """Return the names of the sources whose answers are labels, without other annotations."""
    others = {
        name
        for name, vote in converted.votes
        if vote.question_type not in ("choices", "several_choices")
    }
    return {source.name for source in params.labelled_sources} - others


def _measure_agreement(converted: ConvertedRows) -> dict[str, dict[str, float]]:
    """Return the agreement of the annotators of each Label Studio source."""
    return {
        name: measure_agreement([vote for source, vote in converted.votes if source == name])
        for name in sorted({source for source, _ in converted.votes})
    }
