"""Gap between the metrics on training and on validation records: how much a model memorized."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockstep.metrics.aggregation import Metric
from lockstep.metrics.registry import LIKELIHOOD_METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import SPLIT, Prediction
from lockstep.statistics import confidence_intervals, paired_tests
from lockstep.statistics.confidence_intervals import Interval

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitGap:
    """A metric of a suite on the records of each split."""

    records: dict[str, int]
    """Split -> number of records."""
    values: dict[str, float]
    """Split -> value of the metric, where it is defined."""
    intervals: dict[str, Interval]
    """Split -> interval of the metric."""

    @property
    def gap(self) -> float:
        """Metric on training records minus metric on validation records."""
        return self.values[TRAIN] - self.values[VALIDATION]

    @property
    def gap_interval(self) -> Interval:
        """95% interval of the gap; the two splits are independent samples."""
        return confidence_intervals.compute_difference_interval(
            (self.values[TRAIN], self.intervals[TRAIN]),
            (self.values[VALIDATION], self.intervals[VALIDATION]),
        )


def compute_split_gaps(
    test: Sequence[Prediction],
    others: Sequence[Prediction],
    suites: Sequence[MeasuredSuite],
    seed: int,
) -> dict[str, dict[str, SplitGap]]:
    """Return {suite: {metric: gap}} of a variant, for metrics that both splits define.

    `test` are the variant's predictions on test records, `others` those on train and validation
    records.
    """
    splits = {
        name: [row for row in others if row.slices[SPLIT] == name] for name in (TRAIN, VALIDATION)
    }
    result: dict[str, dict[str, SplitGap]] = {}
    for suite in suites:
        rows = {
            name: [row for row in part if row.task == suite.task and row.answer_form]
            for name, part in {**splits, TEST: test}.items()
        }
        metrics = _select_metrics(suite, rows[TRAIN])
        intervals = {
            name: paired_tests.compute_intervals(metrics, part, seed) for name, part in rows.items()
        }
        gaps = {
            name: SplitGap(
                records={split: len(part) for split, part in rows.items()},
                values={
                    split: metric.compute(part)
                    for split, part in rows.items()
                    if name in intervals[split]
                },
                intervals={
                    split: by_metric[name]
                    for split, by_metric in intervals.items()
                    if name in by_metric
                },
            )
            for name, metric in metrics.items()
            if name in intervals[TRAIN] and name in intervals[VALIDATION]
        }
        if gaps:
            result[suite.task] = gaps
    return result


def _select_metrics(suite: MeasuredSuite, rows: Sequence[Prediction]) -> Mapping[str, Metric]:
    """Return the suite's metrics, plus perplexity if all references have a likelihood."""
    has_likelihoods = bool(rows) and all(row.loss is not None and row.tokens for row in rows)
    return {**suite.metrics, **(LIKELIHOOD_METRICS if has_likelihoods else {})}
