"""Runs that differ in nothing but what is looked at, and the figures that they have."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lockstep.metrics.metric_display import MetricDisplay, describe_metric, in_order
from lockstep.review.experiments import Run, Suites, identity

PERPLEXITY = "perplexity"
"""A suite of all records, of one figure that its name tells."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Group(Generic[Found]):
    """What was found in runs of one kind."""

    different: dict[str, object]
    """What they are made of where that is not so in the other groups."""
    runs: list[str]
    """Their names."""
    suites: list[Found]


def group(runs: Iterable[Run], free: Sequence[str]) -> list[list[Run]]:
    """The runs that are made of the same but for what is free."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        found[identity(run, free)].append(run)
    return list(found.values())


def labelled(
    found: Sequence[tuple[list[Run], list[Found]]], free: Sequence[str]
) -> list[Group[Found]]:
    """With what tells each group of runs from the others."""
    made = [runs[0].made_of for runs, _ in found]
    names = sorted({name for one in made for name in one} - set(free))
    different = [name for name in names if any(one.get(name) != made[0].get(name) for one in made)]
    return [
        Group({name: one.get(name) for name in different}, [run.name for run in runs], suites)
        for one, (runs, suites) in zip(made, found, strict=True)
    ]


def main_figures(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """(suite, its main figure) of the merged variant, perplexity last."""
    suites: Suites = {}
    for run in runs:
        for suite, figures in run.metrics.merged.items():
            suites[suite] = suites.get(suite, {}) | figures
    order = sorted(suites, key=lambda suite: (suite == PERPLEXITY, suite))
    return [(suite, in_order(suites[suite])[0]) for suite in order]


def of_suite(suite: str, metric: str) -> MetricDisplay:
    """How a suite's figure is written."""
    return describe_metric(PERPLEXITY if suite == PERPLEXITY else metric)


def bounds(own: MetricDisplay) -> tuple[float, float]:
    """The worst and best possible values, as far as they are known."""
    return (0.0 if own.percent else -math.inf), (own.top or math.inf)


def merged(runs: Iterable[Run], suite: str, metric: str) -> list[tuple[Run, float]]:
    """The runs whose merged model has the figure, with it."""
    return [
        (run, run.metrics.merged[suite][metric])
        for run in runs
        if metric in run.metrics.merged.get(suite, {})
    ]


def base(runs: Iterable[Run], suite: str, metric: str) -> list[tuple[Run, float]]:
    """The runs whose base has the figure, with it."""
    return [
        (run, run.metrics.base[suite][metric])
        for run in runs
        if metric in run.metrics.base.get(suite, {})
    ]
