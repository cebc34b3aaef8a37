"""Summarize k-fold cross-validation: mean and spread of each metric over folds and seeds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats

from lockstep.statistics.confidence_intervals import CONFIDENCE, Interval, Uncertainty
from lockstep.sweeps.experiments import FOLD, SEED, Run
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

VARIED = (FOLD, SEED)
"""Inputs in which the runs of a summary may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSummary:
    """Main metric of a suite over the folds."""

    suite: str
    metric: str
    folds: int
    """Number of folds (k)."""
    folds_run: int
    """Number of folds that have a run with any seed."""
    missing: list[tuple[int, int]]
    """(seed, fold) pairs without a run."""
    runs: int
    base: float | None
    """Mean of the base model; None if it was not measured."""
    mean: float
    standard_deviation: float
    """Standard deviation over the runs."""
    standard_error: float
    """Standard error of the mean, corrected for training records that runs share."""
    interval: Interval
    """95% interval of the mean, from that standard error."""
    minimum: float
    maximum: float


def summarize_folds(runs: Iterable[Run]) -> list[Group[FoldSummary]]:
    """Return the summaries of each group of runs that covers two folds or more."""
    groups = [
        group
        for group in group_runs([run for run in runs if run.folds], VARIED)
        if len({run.fold for run in group}) > 1
    ]
    return label_groups([(group, _summarize_group(group)) for group in groups], VARIED)


def _summarize_group(runs: Sequence[Run]) -> list[FoldSummary]:
    summaries = (summarize_metric(runs, *names) for names in list_main_metrics(runs))
    return [summary for summary in summaries if summary]


def summarize_metric(runs: Sequence[Run], suite: str, metric: str) -> FoldSummary | None:
    """Return the summary of one metric; None if fewer than two runs have it."""
    measured = collect_merged_values(runs, suite, metric)
    if len(measured) < 2:
        return None
    values = [value for _, value in measured]
    base = [value for _, value in collect_base_values(runs, suite, metric)]
    ratio = fmean(run.metrics.data.test / run.metrics.data.train for run, _ in measured)
    bounds = get_metric_bounds(describe_suite_metric(suite, metric))
    spread = estimate_spread(values, ratio, *bounds)
    folds, pairs = runs[0].folds, {(run.seed, run.fold) for run, _ in measured}
    return FoldSummary(
        suite=suite,
        metric=metric,
        folds=folds,
        folds_run=len({fold for _, fold in pairs}),
        missing=sorted({(run.seed, fold) for run in runs for fold in range(folds)} - pairs),
        runs=len(values),
        base=fmean(base) if base else None,
        mean=fmean(values),
        standard_deviation=stdev(values),
        standard_error=spread.standard_error,
        interval=spread.interval,
        minimum=min(values),
        maximum=max(values),
    )


def estimate_spread(
    values: Sequence[float], ratio: float, lowest: float = -math.inf, highest: float = math.inf
) -> Uncertainty:
    """Return the standard error and Student's t interval of the mean over two folds or more.

    `ratio` is the number of test records divided by that of training records. The variance of J
    runs is multiplied by 1/J + ratio, since the runs share training records (Nadeau and Bengio,
    2003); the interval has J - 1 degrees of freedom. The same holds for repeated k-fold (Bouckaert
    and Frank, 2004). No estimate from one k-fold is unbiased (Bengio and Grandvalet, 2004): without
    the ratio the interval is too narrow, and the ratio reduces this bias. The interval is clipped
    to [lowest, highest].
    """
    runs, mean = len(values), fmean(values)
    error = stdev(values) * math.sqrt(1 / runs + ratio)
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, runs - 1)) * error
    return Uncertainty(Interval(max(lowest, mean - margin), min(highest, mean + margin)), error)
