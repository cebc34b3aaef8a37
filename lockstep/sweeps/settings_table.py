"""Compare the settings of a sweep: metrics with intervals, size and time, best and Pareto front."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from lockstep.errors import UserError
from lockstep.metrics.metric_display import spell_out
from lockstep.statistics.confidence_intervals import Interval, compute_mean_interval
from lockstep.sweeps.cross_validation import estimate_spread
from lockstep.sweeps.experiments import FOLD, SEED, WORKSPACE, Run, read_file
from lockstep.sweeps.run_groups import (
    PERPLEXITY,
    collect_merged_values,
    describe_suite_metric,
    get_metric_bounds,
    group_runs,
    label_groups,
    list_main_metrics,
)
from lockstep.verify.clone import parse_lock

DETAILS_FILE = "reports/details.json"
TRAIN_TIMINGS = "reports/timings/train.json"
TRAIN_PROVENANCE = "reports/provenance/train.json"
VARIED = (FOLD, SEED)
"""Inputs in which the runs of one row may differ."""
BASE = "base."
"""Prefix of the inputs that name the base model."""
MAX_CHARACTERS = 40
"""Maximum number of characters shown of a value."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean of a metric over the runs of a row."""

    mean: float
    interval: Interval | None
    """95% interval: over the test records of a single run, or over several runs; None if a single
    run has none."""


@dataclass(frozen=True, slots=True)
class Row:
    """The runs of one setting, which differ in seed and fold only."""

    label: str
    """Values by which this row differs from the others."""
    settings: dict[str, Any]
    """These values by dotted name."""
    runs: list[str]
    """Names of the runs."""
    estimates: dict[str, Estimate]
    """Main metric by suite."""
    size: float | None
    """Bytes of the weights that ship, to three digits; None if unknown."""
    seconds: float | None
    """Mean training time; None if no run of the row was timed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rows of a sweep and the decisions about one suite's main metric."""

    rows: list[Row]
    metrics: dict[str, str]
    """Main metric by suite."""
    suite: str
    """Suite that decides."""
    best: Row
    equal: list[Row]
    """Rows whose interval overlaps that of the best: the data do not tell them apart."""
    smallest: Row | None
    """Smallest of the best and these rows; None if sizes are unknown or all equal."""
    fronts: dict[str, list[Row]]
    """Rows on the Pareto front of quality against `size` and `time`."""


def compare_settings(runs: Sequence[Run], suite: str | None, preferred: str) -> Comparison | None:
    """Compare runs by the main metric of a suite; None without a run.

    Without `suite`, `preferred` decides if it was measured, else the first suite. Raise UserError
    if the suite was not measured.
    """
    if not runs:
        return None
    metrics = dict(list_main_metrics(runs))
    if suite is not None and suite not in metrics:
        raise UserError(f"SUITE: {suite}: not measured; the runs have {', '.join(metrics)}")
    decisive = suite or (preferred if preferred in metrics else next(iter(metrics)))
    groups = [(group, [group]) for group in group_runs(runs, VARIED)]
    rows = [
        build_row(group.settings, group.suites[0], metrics)
        for group in label_groups(groups, VARIED)
    ]
    rows = [row for row in rows if decisive in row.estimates]
    return decide(rows, metrics, decisive) if rows else None


def build_row(
    settings: Mapping[str, object], runs: Sequence[Run], metrics: Mapping[str, str]
) -> Row:
    """Return the row of runs that differ in seed and fold only."""
    estimates = {suite: estimate_metric(runs, suite, name) for suite, name in metrics.items()}
    sizes = [run.metrics.quantize.bytes for run in runs if run.metrics.quantize]
    seconds = [value for run in runs if (value := read_train_seconds(run)) is not None]
    return Row(
        label=describe_settings(settings, runs[0]),
        settings=dict(settings),
        runs=[run.name for run in runs],
        estimates={suite: value for suite, value in estimates.items() if value is not None},
        size=float(f"{fmean(sizes):.3g}") if sizes else None,  # headers differ by some bytes
        seconds=fmean(seconds) if seconds else None,
    )


def describe_settings(settings: Mapping[str, object], run: Run) -> str:
    """Return the settings in one line; keys are shortened and a base is called by its name."""
    parts = [
        f"{name.split('.')[-1]}={str(value)[:MAX_CHARACTERS]}"
        for name, value in settings.items()
        if not name.startswith(BASE)
    ]
    if any(name.startswith(BASE) for name in settings):
        source = run.inputs.get("base.source")
        path = {"hub": run.inputs.get("base.id"), "path": run.inputs.get("base.path")}.get(
            str(source), source
        )
        parts.insert(0, f"base={Path(str(path)).name}")
    return ", ".join(parts) or "all runs"


def estimate_metric(runs: Sequence[Run], suite: str, metric: str) -> Estimate | None:
    """Return the mean and the interval of a metric; None if no run has it.

    The interval of several seeds is Student's t; that of folds is corrected for the training
    records that they share; that of a single run is over its test records.
    """
    measured = collect_merged_values(runs, suite, metric)
    values = [value for _, value in measured]
    if not values:
        return None
    bounds = get_metric_bounds(describe_suite_metric(suite, metric))
    if len(values) == 1:
        return Estimate(values[0], _read_interval(measured[0][0], suite, metric))
    if runs[0].folds:
        ratio = fmean(run.metrics.data.test / run.metrics.data.train for run, _ in measured)
        return Estimate(fmean(values), estimate_spread(values, ratio, *bounds).interval)
    return Estimate(fmean(values), compute_mean_interval(values, *bounds))


def _read_interval(run: Run, suite: str, metric: str) -> Interval | None:
    details = read_details(run)
    if suite == PERPLEXITY:
        ends = details.get("intervals", {}).get(PERPLEXITY)
    else:
        ends = details.get(suite, {}).get("intervals", {}).get(metric)
    return Interval(*ends) if ends else None


def decide(rows: list[Row], metrics: dict[str, str], suite: str) -> Comparison:
    """Return the best row by a suite's main metric, those not shown to be worse, and the fronts."""
    display = describe_suite_metric(suite, metrics[suite])
    sign = -1 if display.lower_is_better else 1
    rows = sorted(rows, key=lambda row: -sign * row.estimates[suite].mean)
    best, *others = rows
    equal = [row for row in others if _overlap(best.estimates[suite], row.estimates[suite])]
    sizes = {row.size for row in rows}
    smallest = None
    if None not in sizes and len(sizes) > 1:
        smallest = min([best, *equal], key=lambda row: row.size or 0)
    costs = {"size": [row.size for row in rows], "time": [row.seconds for row in rows]}
    qualities = [sign * row.estimates[suite].mean for row in rows]
    fronts = {
        name: [rows[place] for place in find_front(qualities, values)]
        for name, values in costs.items()
    }
    return Comparison(rows, metrics, suite, best, equal, smallest, fronts)


def _overlap(first: Estimate, second: Estimate) -> bool:
    """Whether two intervals overlap; without both nothing tells the metrics apart."""
    if first.interval is None or second.interval is None:
        return True
    low = max(first.interval.low, second.interval.low)
    return low <= min(first.interval.high, second.interval.high)


def find_front(qualities: Sequence[float], costs: Sequence[float | None]) -> list[int]:
    """Return the places on the Pareto front, by cost: none is as good for less, or better for it.

    Higher qualities and lower costs are better. Places of unknown cost are left out.
    """
    front: list[int] = []
    known = [
        (cost, -qualities[place], place) for place, cost in enumerate(costs) if cost is not None
    ]
    for _, _, place in sorted(known):
        if not front or qualities[place] > qualities[front[-1]]:
            front.append(place)
    return front


def describe_decision(comparison: Comparison) -> list[str]:
    """Return sentences on the best setting, on those that may be as good, and on the smallest."""
    suite, best = comparison.suite, comparison.best
    display = describe_suite_metric(suite, comparison.metrics[suite])
    estimate = best.estimates[suite]
    interval = "no interval"
    if estimate.interval is not None:
        ends = (display.format(estimate.interval.low), display.format(estimate.interval.high))
        interval = f"95% interval {ends[0]} to {ends[1]}"
    title = f"{spell_out(suite)} {display.title}" if suite != PERPLEXITY else PERPLEXITY
    result = f"{display.format(estimate.mean)} ({interval})"
    if len(comparison.rows) == 1:
        runs = "one run" if len(best.runs) == 1 else f"{len(best.runs)} runs"
        return [f"{title[:1].upper()}{title[1:]} of {runs}: {result}."]
    lines = [f"Best {title}: {result} by {best.label}."]
    if comparison.equal:
        number = len(comparison.equal)
        others = "one other setting" if number == 1 else f"{number} other settings"
        lines.append(f"Not shown to be worse, since their intervals overlap: {others}.")
    else:
        lines.append("The intervals of all other settings lie outside of it.")
    if comparison.smallest is not None:
        lines.append(f"Smallest that is not shown to be worse: {comparison.smallest.label}.")
    return lines


def read_details(run: Run) -> Mapping[str, Any]:
    """Return the details of the run's variant, with the intervals over its test records."""
    text = read_file(run.revision, DETAILS_FILE)
    details: Mapping[str, Any] = json.loads(text).get(run.variant, {}) if text else {}
    return details


def read_train_seconds(run: Run) -> float | None:
    """Return how long the run trained; None if it resumed, or took over an earlier run's result.

    A stage that DVC restores from its cache leaves the timings of the commit before as they are.
    """
    timings = read_file(run.revision, TRAIN_TIMINGS)
    if timings is None:
        return None
    before = "HEAD" if run.revision == WORKSPACE else f"{run.revision}^"
    provenance = [read_file(revision, TRAIN_PROVENANCE) for revision in (run.revision, before)]
    if provenance[0] == provenance[1] and _read_train(run.revision) != _read_train(before):
        return None
    values = json.loads(timings)
    return None if "resumed_from_step" in values else float(values["seconds"])


def _read_train(revision: str) -> Any:
    """Return the outputs of `train` in the lock of a commit; None if it has no lock."""
    lock = read_file(revision, "dvc.lock")
    return parse_lock(lock).get("train", {}).get("outs") if lock else None
