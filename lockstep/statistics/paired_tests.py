"""Intervals of the metrics of a suite, and paired tests of two variants on the same records."""

import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from lockstep import multiple_testing
from lockstep.metrics.aggregation import (
    InfluenceMetric,
    JointMetric,
    Metric,
    ResampledMetric,
    ShareMetric,
    Table,
    WeightedMetric,
)
from lockstep.predictions import Prediction
from lockstep.statistics import confidence_intervals
from lockstep.statistics.confidence_intervals import Interval, Uncertainty, WeightedMetrics

Key = TypeVar("Key", bound=Hashable)


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
    tables = {name: metric.tabulate(predictions) for name, metric in metrics.items()}
    return compute_variant_intervals(metrics, {"": tables}, len(predictions), seed)[""]


def compute_variant_intervals(
    metrics: Mapping[str, Metric],
    tables: Mapping[str, Mapping[str, Table]],
    records: int,
    seed: int,
) -> dict[str, dict[str, Interval]]:
    """Return {variant: {metric: interval}}; all variants share the resamples.

    `tables` are those of the metrics by variant, each of this number of records.
    """
    intervals: dict[str, dict[str, Interval | None]] = {variant: {} for variant in tables}
    weighted, jackknifed = {}, set()
    for variant, by_metric in tables.items():
        for name, table in by_metric.items():
            metric = metrics[name]
            if isinstance(metric, ShareMetric):
                intervals[variant][name] = _compute_share_interval(table)
            elif isinstance(metric, InfluenceMetric):
                intervals[variant][name] = _compute_influence_interval(metric, table)
            elif isinstance(metric, ResampledMetric):
                weighted[variant, name] = metric.bind(table)
                if isinstance(metric, JointMetric):
                    jackknifed.add((variant, name))
    for (variant, name), uncertainty in _resample(weighted, jackknifed, records, seed).items():
        intervals[variant][name] = uncertainty.interval
    return {
        variant: {name: interval for name in metrics if (interval := by_metric.get(name))}
        for variant, by_metric in intervals.items()
    }


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
    records = len(before)
    differences: dict[str, Difference] = {}
    tables = {name: metric.tabulate([*before, *after]) for name, metric in metrics.items()}
    for names, positions in _group_by_counting_records(metrics, tables, records):
        differences |= _compute_differences(
            {name: metrics[name] for name in names},
            {name: tables[name][:records][positions] for name in names},
            {name: tables[name][records:][positions] for name in names},
            len(positions),
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
    metrics: Mapping[str, Metric], tables: Mapping[str, Table], records: int
) -> Iterator[tuple[list[str], list[int]]]:
    """Yield (metrics, positions of the records that count in them).

    Otherwise a share in which few records count would be undefined in some resamples.
    """
    groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, metric in metrics.items():
        is_share = isinstance(metric, ShareMetric)
        counts = tables[name][:records, 1] if is_share else np.ones(records)
        groups[tuple(np.flatnonzero(counts).tolist())].append(name)
    for positions, names in groups.items():
        yield names, list(positions)


def _compute_differences(
    metrics: Mapping[str, Metric],
    before: Mapping[str, Table],
    after: Mapping[str, Table],
    records: int,
    seed: int,
) -> dict[str, Difference]:
    """Return the differences of metrics in which all records count."""
    pairs = {
        name: metric.bind_pairs(before[name], after[name])
        for name, metric in metrics.items()
        if isinstance(metric, ResampledMetric)
    }
    uncertainties = _resample(
        {name: pair.by_weights for name, pair in pairs.items()},
        {name for name in pairs if isinstance(metrics[name], JointMetric)},
        records,
        seed,
    )
    p_values = _compute_permutation_p(
        {
            name: pairs[name].by_exchanges
            for name in uncertainties
            if not isinstance(metrics[name], ShareMetric)
        },
        records,
        seed,
    )
    differences = {}
    for name, metric in metrics.items():
        old, new = before[name], after[name]
        if isinstance(metric, InfluenceMetric):
            if difference := _compare_influences(metric, old, new):
                differences[name] = difference
        elif name in uncertainties:
            value = metric.compute_table(new) - metric.compute_table(old)
            detectable: float | None = _compute_detectable(uncertainties[name])
            if isinstance(metric, ShareMetric):
                p_values[name] = _compute_share_p(old, new)
                fewest = confidence_intervals.compute_fewest_changes()
                detectable = max(detectable or 0, fewest / records) if records >= fewest else None
            differences[name] = _build_difference(
                records, value, uncertainties[name], p_values[name], detectable
            )
    return differences


def _compute_share_interval(table: Table) -> Interval | None:
    right, counted = table.sum(axis=0).astype(int).tolist()
    return confidence_intervals.compute_share_interval(right, counted) if counted else None


def _compute_influence_interval(metric: InfluenceMetric, table: Table) -> Interval | None:
    """Return the normal interval, clipped to [0, 1]."""
    value, deviations = metric.measure(table)
    if len(table) < 2 or not math.isfinite(value):
        return None
    interval = confidence_intervals.compute_normal_uncertainty(value, deviations).interval
    return Interval(max(0.0, interval.low), min(1.0, interval.high))


def _compute_share_p(before: Table, after: Table) -> float:
    old, new = before[:, 0], after[:, 0]
    return confidence_intervals.compute_mcnemar_p(int((new > old).sum()), int((new < old).sum()))


def _compare_influences(metric: InfluenceMetric, before: Table, after: Table) -> Difference | None:
    """Return the difference of a metric with influences; None where it is not defined."""
    old, new = metric.measure(before), metric.measure(after)
    value, records = new.value - old.value, len(before)
    if not math.isfinite(value) or records < 2:
        return None
    uncertainty = confidence_intervals.compute_normal_uncertainty(
        value, new.deviations - old.deviations
    )
    p = confidence_intervals.compute_normal_p(value, uncertainty.standard_error, records)
    return _build_difference(records, value, uncertainty, p, _compute_detectable(uncertainty))


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
    weighted: Mapping[Key, WeightedMetric], jackknifed: Collection[Key], records: int, seed: int
) -> dict[Key, Uncertainty]:
    """Return the uncertainty of each function of the records' weights where it is finite.

    Fewer than two records have no uncertainty.
    """
    if records < 2:
        return {}
    ones = np.ones(records)
    defined = {key: f for key, f in weighted.items() if math.isfinite(float(f(ones)))}
    results: dict[Key, Uncertainty] = {}
    for by_jackknife in (False, True):
        part = {key: f for key, f in defined.items() if (key in jackknifed) == by_jackknife}
        if part:
            stacked = _stack(part)
            uncertainties = (
                confidence_intervals.jackknife(stacked, records)
                if by_jackknife
                else confidence_intervals.bootstrap(stacked, records, seed)
            )
            results |= dict(zip(part, uncertainties, strict=True))
    return {
        key: results[key]
        for key in defined
        if all(map(math.isfinite, (results[key].interval.low, results[key].interval.high)))
    }


def _compute_permutation_p(
    exchanged: Mapping[str, WeightedMetric], records: int, seed: int
) -> dict[str, float]:
    """Return the p-value of each difference, a function of exchanges."""
    if not exchanged:
        return {}
    p_values = confidence_intervals.compute_permutation_p(_stack(exchanged), records, seed)
    return dict(zip(exchanged, p_values, strict=True))


def _stack(weighted: Mapping[Key, WeightedMetric]) -> WeightedMetrics:
    """Return several functions of weights as one."""
    return lambda weights: np.stack([compute(weights) for compute in weighted.values()])
