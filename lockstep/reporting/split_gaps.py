"""The gap between training and validation, as the page shows it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lockstep.metrics.metric_display import MetricDisplay, describe_metric, sort_metrics
from lockstep.metrics.suite_metrics import PERPLEXITY
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_texts import format_difference, format_interval, name_subject
from lockstep.reporting.texts import Text, join_texts, say
from lockstep.statistics.confidence_intervals import Interval, compute_difference_interval
from lockstep.statistics.details import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class GapRow:
    """One metric of a suite on records of each split, of the merged variant."""

    task: str
    name: str
    splits: dict[str, Metrics]
    """Split -> records, metric, interval."""
    gap: float
    gap_interval: Interval
    base_gap: tuple[float, Interval] | None
    """Gap of the base, which was trained on neither split: how much easier the records are."""

    @property
    def display(self) -> MetricDisplay:
        """Return how the metric is displayed."""
        return describe_metric(self.name)

    @property
    def shown_gap(self) -> Text:
        """Return the gap as a reader sees it."""
        return format_difference(self.display, self.gap)

    @property
    def shown_interval(self) -> Text:
        """Return the interval of the gap as a reader sees it."""
        return format_interval(self.display, self.gap_interval.low, self.gap_interval.high)

    @property
    def is_proven(self) -> bool:
        """Whether the metric is significantly better on training than on validation records.

        The gap must also differ significantly from that of the base, which shows how much easier
        the training records are.
        """
        intervals = [self.gap_interval]
        if self.base_gap:
            intervals.append(
                compute_difference_interval((self.gap, self.gap_interval), self.base_gap)
            )
        lower = self.display.lower_is_better
        return all(ends.high < 0 if lower else ends.low > 0 for ends in intervals)


def list_gaps(results: EvaluationResults) -> list[GapRow]:
    """Return the main metric of each suite, and the perplexity of its references."""
    gaps = results.details["split_gaps"]
    return [
        _build_gap_row(task, name, by_metric[name], gaps["base"].get(task, {}).get(name))
        for task, by_metric in gaps["merged"].items()
        for name in dict.fromkeys([sort_metrics(dict.fromkeys(by_metric, 0.0))[0], PERPLEXITY])
        if name in by_metric
    ]


def describe_gaps(rows: Sequence[GapRow]) -> Iterator[Text]:
    """Yield a sentence if the merged variant does better on training records."""
    proven = [
        say(
            "{subject} by {gap}",
            subject=name_subject(row.task, row.name),
            gap=format_difference(row.display, row.gap, sign=False),
        )
        for row in rows
        if row.is_proven and row.name != PERPLEXITY
    ]
    if proven:
        yield say(
            "The model does better on training records than on validation records: {gaps}. More "
            "data, fewer epochs or stronger regularization would narrow the gap.",
            gaps=join_texts(", ", proven),
        )


def _build_gap_row(task: str, name: str, values: Metrics, base: Metrics | None) -> GapRow:
    return GapRow(
        task=task,
        name=name,
        splits={split: part for split, part in values.items() if isinstance(part, dict)},
        gap=values["gap"],
        gap_interval=Interval(*values["gap_interval"]),
        base_gap=(base["gap"], Interval(*base["gap_interval"])) if base else None,
    )
