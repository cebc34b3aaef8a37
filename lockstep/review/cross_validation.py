"""k-fold cross-validation: a figure over the folds that were the test split, and over seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats

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
from lockstep.review.experiments import FOLD, SEED, Run
from lockstep.statistics.confidence_intervals import CONFIDENCE, Interval, Spread

FREE = (FOLD, SEED)
"""What the runs of a summary may differ in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """The main figure of a suite."""

    suite: str
    metric: str
    folds: int
    """k."""
    found: int
    """Folds that a run has, of any seed."""
    missing: list[tuple[int, int]]
    """(seed, fold) that no run has."""
    runs: int
    base: float | None
    """The mean of the untuned base, where it was measured."""
    mean: float
    deviation: float
    """Standard deviation of the runs."""
    error: float
    """Standard error of the mean, corrected."""
    interval: Interval
    """Of the mean, with that error."""
    least: float
    greatest: float


def summaries(runs: Iterable[Run]) -> list[Group[Folds]]:
    """Of each group of runs that has two folds or more."""
    found = [
        (own, [one for suite, metric in main_figures(own) if (one := summary(own, suite, metric))])
        for own in group([run for run in runs if run.folds], FREE)
        if len({run.fold for run in own}) > 1
    ]
    return labelled(found, FREE)


def summary(runs: Sequence[Run], suite: str, metric: str) -> Folds | None:
    """Of one figure; None where fewer than two runs of the group have it."""
    measured = merged(runs, suite, metric)
    if len(measured) < 2:
        return None
    values = [value for _, value in measured]
    untuned = [value for _, value in base(runs, suite, metric)]
    ratio = fmean(run.metrics.data.test / run.metrics.data.train for run, _ in measured)
    spread = corrected(values, ratio, *bounds(of_suite(suite, metric)))
    k, there = runs[0].folds, {(run.seed, run.fold) for run, _ in measured}
    return Folds(
        suite=suite,
        metric=metric,
        folds=k,
        found=len({fold for _, fold in there}),
        missing=sorted({(run.seed, fold) for run in runs for fold in range(k)} - there),
        runs=len(values),
        base=fmean(untuned) if untuned else None,
        mean=fmean(values),
        deviation=stdev(values),
        error=spread.error,
        interval=spread.interval,
        least=min(values),
        greatest=max(values),
    )


def corrected(
    values: Sequence[float], ratio: float, lowest: float = -math.inf, highest: float = math.inf
) -> Spread:
    """The standard error and Student's t interval of the mean of two runs or more that share
    training records (Nadeau and Bengio, 2003): the variance of J runs times 1/J + `ratio`, test
    records by training records, with J - 1 degrees of freedom; of repeated k-fold likewise
    (Bouckaert and Frank, 2004).

    No estimate of that variance from one k-fold is free of bias, since its folds share training
    records (Bengio and Grandvalet, 2004): without the ratio an interval is too narrow, with it an
    approximation that errs less. Cut to what the scale allows.
    """
    runs, mean = len(values), fmean(values)
    error = stdev(values) * math.sqrt(1 / runs + ratio)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1)) * error
    return Spread(Interval(max(lowest, mean - reach), min(highest, mean + reach)), error)
