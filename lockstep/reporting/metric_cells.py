"""Cells of the tables of metrics: a value with its interval and its judged change."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.metrics.metric_display import MetricDisplay, describe_metric
from lockstep.predictions import STEPS, VARIANTS
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_texts import format_difference, format_interval, name_subject
from lockstep.reporting.texts import translate_term
from lockstep.statistics.paired_tests import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Value of a metric for one variant, and its change from the variant before."""

    variant: str
    text: str
    """The formatted value; empty if the metric is not defined."""
    bar: float | None
    """Width of the bar in percent; None if the metric has no best value."""
    interval: str = ""
    """The 95% interval."""
    change: str = ""
    judgement: str = ""
    """better, worse, same, chance or untested; empty if there is no change to judge."""


def build_cells(
    results: EvaluationResults | None, task: str, name: str, values: Sequence[float | None]
) -> list[Cell]:
    """Return a cell for each variant; with results, also the intervals and tests of its change."""
    display, steps = describe_metric(name), [None, *STEPS]
    row = []
    for index, (variant, value) in enumerate(zip(VARIANTS, values, strict=True)):
        if value is None:
            row.append(Cell(variant=variant, text="", bar=None))
            continue
        step, before = steps[index], values[index - 1] if index else None
        interval = results.get_interval(variant, task, name) if results else None
        test = results.differences[step].get(task, {}).get(name) if results and step else None
        bar = round(100 * min(1.0, max(0.0, value / display.top)), 1) if display.top else None
        row.append(
            Cell(
                variant=variant,
                text=display.format(value),
                bar=bar,
                interval=(
                    f"{display.format(interval.low)} – {display.format(interval.high)}"
                    if interval
                    else ""
                ),
                change=display.format_change(before, value) if before is not None else "",
                judgement=_judge_change(display, before, value, test) if before is not None else "",
            )
        )
    return row


def list_tests(results: EvaluationResults) -> list[list[str]]:
    """Return the cells of the table of tests: a row for each metric and step that was tested."""
    return [
        [
            name_subject(task, name),
            translate_term(step),
            format_difference(display, test.value),
            format_interval(display, test.interval.low, test.interval.high),
            f"{test.p_adjusted:.2g}",
            ""
            if test.detectable is None
            else format_difference(display, test.detectable, sign=False),
        ]
        for step, by_suite in results.differences.items()
        for task, by_metric in by_suite.items()
        for name, test in by_metric.items()
        for display in [describe_metric(name)]
    ]


def _judge_change(
    display: MetricDisplay, before: float, after: float, test: Difference | None
) -> str:
    if display.compute_change(before, after) == 0:
        return "same"
    if test is None:
        return "untested"
    if test.could_be_chance:
        return "chance"
    return "better" if display.is_better(before, after) else "worse"
