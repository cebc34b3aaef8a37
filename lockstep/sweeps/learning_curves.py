"""Compute learning curves: a metric by the share of the training records in use, over seeds."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from lockstep.metrics.metric_display import MetricDisplay
from lockstep.statistics.confidence_intervals import Interval, compute_mean_interval
from lockstep.sweeps.experiments import FRACTION, SEED, Run
from lockstep.sweeps.run_groups import (
    Group,
    collect_base_values,
    collect_merged_values,
    describe_suite_metric,
    get_metric_bounds,
    group_runs,
    label_groups,
    list_main_metrics,
)

VARIED = (FRACTION, SEED)
"""Inputs in which the runs of a curve may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A metric over the runs with one share of the training records."""

    fraction: float
    """Share of the training records; 0 is the base model."""
    records: float
    """Number of training records before augmentation, averaged over the runs."""
    runs: int
    mean: float
    interval: Interval | None
    """95% interval (Student's t) over seeds; None for a single run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Change of a metric by the last doubling of the training records."""

    half: float
    """Share of the training records before the doubling."""
    whole: float
    """Largest share of the training records that a run has."""
    seeds: int
    value: float
    """Mean over seeds of the metric at `whole` minus that at `half`."""
    interval: Interval | None
    """95% interval (Student's t) over seeds; None for a single seed."""
    interpolated: bool
    """Whether the metric at `half` is interpolated for some seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Learning curve of the main metric of a suite."""

    suite: str
    metric: str
    points: list[Point]
    gain: Gain | None
    """Gain by the last doubling; None if no seed has a run at the largest share and one at half of
    it or less."""


def compute_curves(runs: Iterable[Run]) -> list[Group[Curve]]:
    """Return the curves of each group of runs with two shares of the training records or more."""
    groups = [
        (group, [compute_curve(group, *names) for names in list_main_metrics(group)])
        for group in group_runs(runs, VARIED)
        if len({run.fraction for run in group}) > 1
    ]
    return label_groups(groups, VARIED)


def compute_curve(runs: Sequence[Run], suite: str, metric: str) -> Curve:
    """Return the curve of one metric over runs that differ only in seed and share."""
    display = describe_suite_metric(suite, metric)
    base = {run.seed: value for run, value in collect_base_values(runs, suite, metric)}
    points = [_compute_point(0.0, [0], list(base.values()), display)] if base else []
    measured = collect_merged_values(runs, suite, metric)
    for fraction in sorted({run.fraction for run, _ in measured}):
        selected = [(run, value) for run, value in measured if run.fraction == fraction]
        records = [run.metrics.data.train for run, _ in selected]
        points.append(_compute_point(fraction, records, [value for _, value in selected], display))
    by_seed: dict[int, dict[float, float]] = defaultdict(dict)
    for run, value in measured:
        by_seed[run.seed][run.fraction] = value
    return Curve(suite=suite, metric=metric, points=points, gain=measure_last_doubling(by_seed))


def measure_last_doubling(by_seed: Mapping[int, Mapping[float, float]]) -> Gain | None:
    """Return the gain by the last doubling, from {seed: {share: value}}.

    Differences are taken within a seed, since its runs share a test split.
    """
    whole = max(fraction for values in by_seed.values() for fraction in values)
    halves = {
        seed: half
        for seed, values in by_seed.items()
        if whole in values and (half := interpolate(values, whole / 2)) is not None
    }
    if not halves:
        return None
    gains = [by_seed[seed][whole] - half for seed, half in halves.items()]
    return Gain(
        half=whole / 2,
        whole=whole,
        seeds=len(gains),
        value=fmean(gains),
        interval=compute_mean_interval(gains, -math.inf, math.inf),
        interpolated=any(whole / 2 not in by_seed[seed] for seed in halves),
    )


def interpolate(values: Mapping[float, float], fraction: float) -> float | None:
    """Return the value at a share, linear in the logarithm of the share between its neighbours.

    Returns None for a share outside of the range of `values`.
    """
    below = max((known for known in values if known <= fraction), default=None)
    above = min((known for known in values if known >= fraction), default=None)
    if below is None or above is None:
        return None
    if below == above:
        return values[below]
    weight = math.log(fraction / below) / math.log(above / below)
    return values[below] + weight * (values[above] - values[below])


def _compute_point(
    fraction: float, records: Sequence[int], values: Sequence[float], display: MetricDisplay
) -> Point:
    return Point(
        fraction=fraction,
        records=fmean(records),
        runs=len(values),
        mean=fmean(values),
        interval=compute_mean_interval(values, *get_metric_bounds(display)),
    )
