"""Intervals of the metrics of a suite, and paired tests of two variants on the same records."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lockstep import multiple_testing
from lockstep.metrics.aggregation import JointMetric, Metric, Numbers, ShareMetric, Weights
from lockstep.predictions import Prediction
from lockstep.statistics import confidence_intervals
from lockstep.statistics.confidence_intervals import Interval, Uncertainty, WeightedMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Difference of a metric between two variants on the same records, after minus before."""

    records: int
    """Number of records that count in the metric."""
    value: float
    interval: Interval
    p: float
    """Two-sided p-value: the probability of a difference at least as large by chance alone."""
    p_adjusted: float
    """p-value corrected for all tests of the report by Holm's method."""
    detectable: float | None
    """Smallest true difference that a test of this size detects in four of five cases; None if the
    answers do not vary or are too few to show any difference."""

    @property
    def could_be_chance(self) -> bool:
        """Whether the difference is not significant at the usual 5%."""
        return self.p_adjusted >= multiple_testing.LEVEL


def compute_intervals(
    metrics: Mapping[str, Metric], predictions: Sequence[Prediction], seed: int
) -> dict[str, Interval]:
    """Return the interval of each metric that is defined.

    Shares have Wilson's interval; other metrics are resampled.
    """
    if not predictions:
        return {}
    others = {name: m for name, m in metrics.items() if not isinstance(m, ShareMetric)}
    uncertainties = _resample(others, predictions, lambda weighted: weighted, seed)
    share_intervals = {
        name: confidence_intervals.compute_share_interval(right, records)
        for name, metric in metrics.items()
        if isinstance(metric, ShareMetric)
        for right, records in [metric.summands(predictions).sum(axis=0).astype(int).tolist()]
        if records
    }
    intervals = {name: result.interval for name, result in uncertainties.items()} | share_intervals
    return {name: intervals[name] for name in metrics if name in intervals}


def compute_differences(
    metrics: Mapping[str, Metric],
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    seed: int,
) -> dict[str, Difference]:
    """Return the difference of each metric that is defined, with p-values not yet corrected.

    `before` and `after` are predictions on the same records in the same order. Shares are tested
    by McNemar's exact test, other metrics by a paired permutation test.
    """
    if not before:
        return {}
    differences: dict[str, Difference] = {}
    for names, positions in _group_by_counting_records(metrics, before):
        differences |= _compute_differences(
            {name: metrics[name] for name in names},
            [before[position] for position in positions],
            [after[position] for position in positions],
            seed,
        )
    return {name: differences[name] for name in metrics if name in differences}


def adjust_differences(
    comparisons: Mapping[str, Mapping[str, Mapping[str, Difference]]],
) -> dict[str, dict[str, dict[str, Difference]]]:
    """Correct p-values for all tests together: {comparison: {suite: {metric: difference}}}."""
    p_values = [
        difference.p
        for by_suite in comparisons.values()
        for by_metric in by_suite.values()
        for difference in by_metric.values()
    ]
    adjusted = iter(multiple_testing.adjust_p_values(p_values))
    return {
        step: {
            task: {
                name: replace(difference, p_adjusted=next(adjusted))
                for name, difference in by_metric.items()
            }
            for task, by_metric in by_suite.items()
        }
        for step, by_suite in comparisons.items()
    }


def _group_by_counting_records(
    metrics: Mapping[str, Metric], predictions: Sequence[Prediction]
) -> Iterator[tuple[list[str], list[int]]]:
    """Yield (metrics, positions of the records that count in them).

    Otherwise a share in which few records count would be undefined in some resamples.
    """
    groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, metric in metrics.items():
        counts = np.ones(len(predictions))
        if isinstance(metric, ShareMetric):
            counts = metric.summands(predictions)[:, 1]
        groups[tuple(np.flatnonzero(counts).tolist())].append(name)
    for positions, names in groups.items():
        yield names, list(positions)


def _compute_differences(
    metrics: Mapping[str, Metric],
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    seed: int,
) -> dict[str, Difference]:
    """Return the differences of metrics in which all records count."""
    records, both = len(before), [*before, *after]

    def subtract(weighted: WeightedMetrics) -> WeightedMetrics:
        def difference(weights: Weights) -> Numbers:
            zeros = np.zeros_like(weights)
            values_before = weighted(np.concatenate([weights, zeros], axis=-1))
            return weighted(np.concatenate([zeros, weights], axis=-1)) - values_before

        return difference

    uncertainties = _resample(metrics, both, subtract, seed, records)
    permuted = {
        name: metrics[name] for name in uncertainties if not isinstance(metrics[name], ShareMetric)
    }
    p_values = dict(zip(permuted, _compute_permutation_p(permuted, both, seed), strict=True))
    differences = {}
    for name, uncertainty in uncertainties.items():
        metric = metrics[name]
        detectable: float | None = confidence_intervals.compute_detectable_difference(
            uncertainty.standard_error
        )
        if isinstance(metric, ShareMetric):
            old, new = (metric.summands(part)[:, 0] for part in (before, after))
            p_values[name] = confidence_intervals.compute_mcnemar_p(
                int((new > old).sum()), int((new < old).sum())
            )
            fewest = confidence_intervals.compute_fewest_changes()
            detectable = max(detectable or 0.0, fewest / records) if records >= fewest else None
        differences[name] = Difference(
            records=records,
            value=metric.compute(after) - metric.compute(before),
            interval=uncertainty.interval,
            p=p_values[name],
            p_adjusted=p_values[name],
            detectable=detectable or None,
        )
    return differences


def _resample(
    metrics: Mapping[str, Metric],
    predictions: Sequence[Prediction],
    transform: Callable[[WeightedMetrics], WeightedMetrics],
    seed: int,
    records: int | None = None,
) -> dict[str, Uncertainty]:
    """Return the uncertainty of each transformed metric where it is finite.

    `records` is the number of weights that the transformed metrics take, by default one for each
    prediction. Fewer than two records have no uncertainty.
    """
    records = len(predictions) if records is None else records
    if records < 2:
        return {}
    metrics = {
        name: metric
        for name, metric in metrics.items()
        if math.isfinite(metric.compute(predictions))
    }
    results: dict[str, Uncertainty] = {}
    for by_jackknife in (False, True):
        part = {
            name: metric
            for name, metric in metrics.items()
            if _needs_jackknife(metric) == by_jackknife
        }
        if part:
            weighted = transform(_bind(part, predictions))
            uncertainties = (
                confidence_intervals.jackknife(weighted, records)
                if by_jackknife
                else confidence_intervals.bootstrap(weighted, records, seed)
            )
            results |= dict(zip(part, uncertainties, strict=True))
    return {
        name: results[name]
        for name in metrics
        if all(map(math.isfinite, (results[name].interval.low, results[name].interval.high)))
    }


def _compute_permutation_p(
    metrics: Mapping[str, Metric], both: Sequence[Prediction], seed: int
) -> list[float]:
    """Return the p-value of each metric; `both` are the predictions before, then those after."""
    if not metrics:
        return []
    return confidence_intervals.compute_permutation_p(_bind(metrics, both), len(both) // 2, seed)


def _bind(metrics: Mapping[str, Metric], predictions: Sequence[Prediction]) -> WeightedMetrics:
    """Return the metrics of these predictions as one function of weights."""
    weighted = [metric.bind(predictions) for metric in metrics.values()]
    return lambda weights: np.stack([compute(weights) for compute in weighted])


def _needs_jackknife(metric: Metric) -> bool:
    return isinstance(metric, JointMetric) and metric.by_jackknife
