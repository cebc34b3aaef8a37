"""Intervals of the metrics of a suite, and paired tests of two variants on the same records."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lockstep import multiple_testing
from lockstep.metrics.aggregation import (
    InfluenceMetric,
    JointMetric,
    Metric,
    ResampledMetric,
    ShareMetric,
    WeightedMetric,
)
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

    Shares have Wilson's interval, metrics with influences a normal one; others are resampled.
    """
    if not predictions:
        return {}
    records, intervals = len(predictions), {}
    resampled: dict[str, ResampledMetric] = {}
    for name, metric in metrics.items():
        if isinstance(metric, ShareMetric):
            right, counted = metric.summands(predictions).sum(axis=0).astype(int).tolist()
            if counted:
                intervals[name] = confidence_intervals.compute_share_interval(right, counted)
        elif isinstance(metric, InfluenceMetric):
            value, deviations = metric.measure(predictions)
            if math.isfinite(value) and records > 1:
                result = confidence_intervals.compute_normal_uncertainty(value, deviations)
                intervals[name] = Interval(
                    max(0.0, result.interval.low), min(1.0, result.interval.high)
                )
        else:
            resampled[name] = metric
    bound = {name: metric.bind(predictions) for name, metric in resampled.items()}
    uncertainties = _resample(bound, _find_jackknifed(resampled), records, seed)
    intervals |= {name: result.interval for name, result in uncertainties.items()}
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
    resampled = {
        name: metric for name, metric in metrics.items() if not isinstance(metric, InfluenceMetric)
    }
    pairs = {name: metric.bind_pairs(before, after) for name, metric in resampled.items()}
    uncertainties = _resample(
        {name: pair.by_weights for name, pair in pairs.items()},
        _find_jackknifed(resampled),
        len(before),
        seed,
    )
    permuted = {
        name: pairs[name].by_exchanges
        for name in uncertainties
        if not isinstance(metrics[name], ShareMetric)
    }
    p_values = _compute_permutation_p(permuted, len(before), seed)
    differences = {}
    for name, metric in metrics.items():
        if isinstance(metric, InfluenceMetric):
            if difference := _compare_influences(metric, before, after):
                differences[name] = difference
        elif name in uncertainties:
            uncertainty = uncertainties[name]
            if isinstance(metric, ShareMetric):
                p, detectable = _test_share(metric, before, after, uncertainty)
            else:
                p = p_values[name]
                detectable = _compute_detectable(uncertainty)
            value = metric.compute(after) - metric.compute(before)
            differences[name] = _build_difference(len(before), value, uncertainty, p, detectable)
    return differences


def _test_share(
    metric: ShareMetric,
    before: Sequence[Prediction],
    after: Sequence[Prediction],
    uncertainty: Uncertainty,
) -> tuple[float, float | None]:
    """Return the p-value of a share's difference, and the detectable difference."""
    old, new = (metric.summands(part)[:, 0] for part in (before, after))
    p = confidence_intervals.compute_mcnemar_p(int((new > old).sum()), int((new < old).sum()))
    fewest = confidence_intervals.compute_fewest_changes()
    if len(before) < fewest:
        return p, None
    return p, max(_compute_detectable(uncertainty), fewest / len(before))


def _compare_influences(
    metric: InfluenceMetric, before: Sequence[Prediction], after: Sequence[Prediction]
) -> Difference | None:
    """Return the difference of a metric with influences; None where it is not defined."""
    old, new = metric.measure(before), metric.measure(after)
    value = new.value - old.value
    if not math.isfinite(value) or len(before) < 2:
        return None
    uncertainty = confidence_intervals.compute_normal_uncertainty(
        value, new.deviations - old.deviations
    )
    p = confidence_intervals.compute_normal_p(value, uncertainty.standard_error, len(before))
    return _build_difference(len(before), value, uncertainty, p, _compute_detectable(uncertainty))


def _build_difference(
    records: int, value: float, uncertainty: Uncertainty, p: float, detectable: float | None
) -> Difference:
    return Difference(
        records=records,
        value=value,
        interval=uncertainty.interval,
        p=p,
        p_adjusted=p,
        detectable=detectable or None,
    )


def _compute_detectable(uncertainty: Uncertainty) -> float:
    return confidence_intervals.compute_detectable_difference(uncertainty.standard_error)


def _resample(
    weighted: Mapping[str, WeightedMetric], jackknifed: Collection[str], records: int, seed: int
) -> dict[str, Uncertainty]:
    """Return the uncertainty of each function of the records' weights where it is finite.

    Fewer than two records have no uncertainty.
    """
    if records < 2:
        return {}
    ones = np.ones(records)
    defined = {name: f for name, f in weighted.items() if math.isfinite(float(f(ones)))}
    results: dict[str, Uncertainty] = {}
    for by_jackknife in (False, True):
        part = {name: f for name, f in defined.items() if (name in jackknifed) == by_jackknife}
        if part:
            stacked = _stack(part)
            uncertainties = (
                confidence_intervals.jackknife(stacked, records)
                if by_jackknife
                else confidence_intervals.bootstrap(stacked, records, seed)
            )
            results |= dict(zip(part, uncertainties, strict=True))
    return {
        name: results[name]
        for name in defined
        if all(map(math.isfinite, (results[name].interval.low, results[name].interval.high)))
    }


def _compute_permutation_p(
    exchanged: Mapping[str, WeightedMetric], records: int, seed: int
) -> dict[str, float]:
    """Return the p-value of each difference, a function of exchanges."""
    if not exchanged:
        return {}
    p_values = confidence_intervals.compute_permutation_p(_stack(exchanged), records, seed)
    return dict(zip(exchanged, p_values, strict=True))


def _stack(weighted: Mapping[str, WeightedMetric]) -> WeightedMetrics:
    """Return several functions of weights as one."""
    return lambda weights: np.stack([compute(weights) for compute in weighted.values()])


def _find_jackknifed(metrics: Mapping[str, Metric]) -> set[str]:
    return {name for name, metric in metrics.items() if isinstance(metric, JointMetric)}
