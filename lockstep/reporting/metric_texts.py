"""Names of tasks and metrics, and differences between metrics, in both languages."""

from lockstep.metrics.metric_display import MetricDisplay, describe_metric, spell_out
from lockstep.reporting.texts import Text, say, translate_term
from lockstep.statistics.paired_tests import Difference

UNIT = " points"
"""Unit of the differences of a metric in percent."""


def name_task(name: str) -> Text:
    """Return the name of a task as a reader sees it, the same in both languages."""
    return Text(spell_out(name), spell_out(name))


def name_metric(display: MetricDisplay) -> Text:
    """Return the title of a metric."""
    return translate_term(display.title)


def name_subject(task: str, metric: str) -> Text:
    """Return the task and the title of its metric."""
    title = name_metric(describe_metric(metric))
    return say("{task} {metric}", task=name_task(task), metric=title)


def format_difference(display: MetricDisplay, difference: float, *, sign: bool = True) -> Text:
    """Format a difference with its unit and, unless told otherwise, its sign."""
    shown = display.format_difference(difference).removesuffix(UNIT)
    shown = shown if sign else shown.lstrip("+−")
    return say("{size} points", size=shown) if display.percent else Text(shown, shown)


def format_interval(display: MetricDisplay, low: float, high: float) -> Text:
    """Format the interval of a difference with its unit."""
    start = display.format_difference(low).removesuffix(UNIT)
    return say("{low} to {high}", low=start, high=format_difference(display, high))


def describe_doubt(tests: dict[str, dict[str, Difference]], task: str, name: str) -> str:
    """Return a remark in brackets if a change could be chance, and an empty text if not."""
    difference = tests.get(task, {}).get(name)
    return say(" (which could be chance)") if difference and difference.could_be_chance else ""
