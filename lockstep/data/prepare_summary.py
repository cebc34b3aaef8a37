"""The data card of `prepare`: how many rows were rejected or removed, and what the splits hold."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lockstep.data import data_card, drift, quality
from lockstep.data.label_studio.agreement import measure_agreement
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.row_conversion import ConvertedRows
from lockstep.data.selection import Selection


def build_card(
    selection: Selection,
    converted: ConvertedRows,
    benchmarks: Mapping[str, list[str]],
    params: PrepareParams,
) -> dict[str, Any]:
    """Return the data card. `benchmarks` maps the path of a benchmark to its texts."""
    splits = selection.split_statistics()
    record_count = sum(map(len, splits.values()))
    duplicates = selection.removal_counts.get("duplicate", 0)
    labelled_sources = _find_labelled_sources(converted, params)
    labels = data_card.count_labels(splits.values(), labelled_sources)
    comparisons = drift.measure_drift(
        selection.divided_statistics(), labelled_sources, selection.compute_average_group_size()
    )
    return {
        "rows": {
            "read": record_count + len(converted.rejected) + len(selection.removed),
            "kept": record_count,
            "rejected": len(converted.rejected),
            "duplicates": duplicates,
            "removed": len(selection.removed) - duplicates,
        },
        "rejected": data_card.sort_by_name(Counter(row.reason for row in converted.rejected)),
        "removed": selection.removal_counts,
        "conflicts": selection.conflict_count,
        "near_duplicate_groups": selection.shared_group_count,
        "cleaned": {step: converted.cleaned[step] for step in params.clean},
        "faults": {signal: converted.faults[signal] for signal in quality.SIGNALS},
        "agreement": _measure_agreement(converted),
        **({"grades": converted.grades} if converted.grades else {}),
        "labels": labels,
        "unlearnt_labels": data_card.find_untrained_labels(splits, labels),
        "licences": {source.name: source.licence for source in params.sources},
        "drift": comparisons,
        "warnings": drift.describe_drift(comparisons),
        "splits": {name: data_card.describe_records(split) for name, split in splits.items()},
        "benchmark_texts": {path: len(texts) for path, texts in benchmarks.items()},
    }


def format_counts(selection: Selection, converted: ConvertedRows) -> str:
    """Return the line that `prepare` prints at its end."""
    sizes = {name: len(split) for name, split in selection.split_statistics().items()}
    number = sum(sizes.values()) + len(converted.rejected) + len(selection.removed)
    counts = ", ".join(f"{size} {name}" for name, size in sizes.items())
    return (
        f"prepare: {number} rows: {len(converted.rejected)} rejected, "
        f"{len(selection.removed)} duplicates or removed; {counts}"
    )


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
