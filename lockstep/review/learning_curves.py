"""Learning curves: a figure by the share of the training records in use, over seeds."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from lockstep.metrics.metric_display import MetricDisplay
from lockstep.review.experiment_groups import (
    Group,
    base,
    bounds,
    group,
    labelled,
    main_figures,
    merged,
    of_suite,
)
from lockstep.review.experiments import FRACTION, SEED, Run
from lockstep.statistics.confidence_intervals import Interval, of_mean

FREE = (FRACTION, SEED)
"""What the runs of a curve may differ in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The runs with one share of the training records."""

    fraction: float
    """0 is the base, which has seen none."""
    records: float
    """Training records, before augmentation; their mean where seeds divide them otherwise."""
    runs: int
    mean: float
    interval: Interval | None
    """Student's t over seeds; None of one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What the last doubling of the training records brought."""

    half: float
    whole: float
    """Fractions."""
    seeds: int
    value: float
    """Mean over seeds of the difference, whole less half."""
    interval: Interval | None
    """Student's t over seeds; None of one seed."""
    interpolated: bool
    """Whether the half of some seed is no run's, but interpolated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The main figure of a suite."""

    suite: str
    metric: str
    points: list[Point]
    gain: Gain | None
    """None where no seed has the largest share and one of at most its half."""


def curves(runs: Iterable[Run]) -> list[Group[Curve]]:
    """Of each group of runs that has two shares of the training records or more."""
    found = [
        (own, [curve(own, suite, metric) for suite, metric in main_figures(own)])
        for own in group(runs, FREE)
        if len({run.fraction for run in own}) > 1
    ]
    return labelled(found, FREE)


def curve(runs: Sequence[Run], suite: str, metric: str) -> Curve:
    """Of one figure that some runs of a group have: these differ in seed or share."""
    own = of_suite(suite, metric)
    untuned = {run.seed: value for run, value in base(runs, suite, metric)}
    points = [_point(0.0, [0], list(untuned.values()), own)] if untuned else []
    measured = merged(runs, suite, metric)
    for fraction in sorted({run.fraction for run, _ in measured}):
        there = [(run, value) for run, value in measured if run.fraction == fraction]
        records = [run.metrics.data.train for run, _ in there]
        points.append(_point(fraction, records, [value for _, value in there], own))
    seeds: dict[int, dict[float, float]] = defaultdict(dict)
    for run, value in measured:
        seeds[run.seed][run.fraction] = value
    return Curve(suite=suite, metric=metric, points=points, gain=last_doubling(seeds))


def last_doubling(seeds: Mapping[int, Mapping[float, float]]) -> Gain | None:
    """What it brought, from {seed: {fraction: figure}}.

    Differences are taken within a seed, whose runs share a test split.
    """
    whole = max(fraction for figures in seeds.values() for fraction in figures)
    halves = {
        seed: half
        for seed, figures in seeds.items()
        if whole in figures and (half := interpolated(figures, whole / 2)) is not None
    }
    if not halves:
        return None
    gains = [seeds[seed][whole] - half for seed, half in halves.items()]
    return Gain(
        half=whole / 2,
        whole=whole,
        seeds=len(gains),
        value=fmean(gains),
        interval=of_mean(gains, -math.inf, math.inf),
        interpolated=any(whole / 2 not in seeds[seed] for seed in halves),
    )


def interpolated(figures: Mapping[float, float], fraction: float) -> float | None:
    """The figure at a fraction, on a line between its neighbours over the logarithm of the
    fraction; None outside of them."""
    below = max((one for one in figures if one <= fraction), default=None)
    above = min((one for one in figures if one >= fraction), default=None)
    if below is None or above is None:
        return None
    if below == above:
        return figures[below]
    share = math.log(fraction / below) / math.log(above / below)
    return figures[below] + share * (figures[above] - figures[below])


def _point(
    fraction: float, records: Sequence[int], values: Sequence[float], own: MetricDisplay
) -> Point:
    return Point(
        fraction=fraction,
        records=fmean(records),
        runs=len(values),
        mean=fmean(values),
        interval=of_mean(values, *bounds(own)),
    )
