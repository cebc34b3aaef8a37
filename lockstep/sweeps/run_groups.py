"""Group runs that differ only in the inputs that a table varies, and look up their metrics."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lockstep.metrics.metric_display import MetricDisplay, describe_metric, sort_metrics
from lockstep.sweeps.experiments import Run, SuiteMetrics, build_run_key

PERPLEXITY = "perplexity"
"""Suite of all records; its name is the title of its only metric."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Group(Generic[Result]):
    """Results from a group of runs."""

    settings: dict[str, object]
    """Inputs of this group that differ between the groups."""
    runs: list[str]
    """Names of the runs."""
    suites: list[Result]
    """Result for each suite."""


def group_runs(runs: Iterable[Run], varied: Sequence[str]) -> list[list[Run]]:
    """Group the runs that have equal inputs, apart from the varied ones."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[build_run_key(run, varied)].append(run)
    return list(groups.values())


def label_groups(
    groups: Sequence[tuple[list[Run], list[Result]]], varied: Sequence[str]
) -> list[Group[Result]]:
    """Add to each group of runs and results the inputs by which the groups differ."""
    inputs = [runs[0].inputs for runs, _ in groups]
    names = sorted({name for values in inputs for name in values} - set(varied))
    differing = [n for n in names if any(values.get(n) != inputs[0].get(n) for values in inputs)]
    return [
        Group({name: values.get(name) for name in differing}, [run.name for run in runs], results)
        for values, (runs, results) in zip(inputs, groups, strict=True)
    ]


def list_main_metrics(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return (suite, main metric) for each suite of the merged model, perplexity last."""
    suites: SuiteMetrics = {}
    for run in runs:
        for suite, metrics in run.metrics.merged.items():
            suites[suite] = suites.get(suite, {}) | metrics
    order = sorted(suites, key=lambda suite: (suite == PERPLEXITY, suite))
    return [(suite, sort_metrics(suites[suite])[0]) for suite in order]


def describe_suite_metric(suite: str, metric: str) -> MetricDisplay:
    """Return the display of a suite's metric."""
    return describe_metric(PERPLEXITY if suite == PERPLEXITY else metric)


def get_metric_bounds(display: MetricDisplay) -> tuple[float, float]:
    """Return the lowest and highest possible value of a metric; infinite if unknown."""
    return (0.0 if display.percent else -math.inf), (display.top or math.inf)


def collect_merged_values(runs: Iterable[Run], suite: str, metric: str) -> list[tuple[Run, float]]:
    """Return each run with the metric of its merged model, without runs that lack it."""
    return [
        (run, run.metrics.merged[suite][metric])
        for run in runs
        if metric in run.metrics.merged.get(suite, {})
    ]


def collect_base_values(runs: Iterable[Run], suite: str, metric: str) -> list[tuple[Run, float]]:
    """Return each run with the metric of its base model, without runs that lack it."""
    return [
        (run, run.metrics.base[suite][metric])
        for run in runs
        if metric in run.metrics.base.get(suite, {})
    ]
