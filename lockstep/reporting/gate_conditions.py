"""Gates in words: the condition, the measured value, and whether it is met."""

import math
from collections.abc import Callable, Iterable

from lockstep.metrics.metric_display import describe_metric, spell_out
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.gates import Gate, GateOutcome

CERTAINTY = {
    "measured": "",
    "proven": ", proven by the whole 95% interval",
    "not_refuted": ", unless the whole 95% interval refutes it",
}
"""Certainty of a gate -> its description at the end of the condition."""


def describe_condition(gate: Gate) -> str:
    """Describe what a gate requires."""
    display = describe_metric(gate.metric)
    subject = f"{gate.variant}: {spell_out(gate.suite)}"
    if display.title != gate.suite:
        subject += f" {display.title}"
    bound = gate.direction.replace("_", " ")
    if gate.against == "nothing":
        required = f"{bound} {display.format(gate.threshold)}"
    else:
        other = "the previous commit" if gate.against == "previous" else gate.against
        required = f"minus that of {other}, {bound} {display.format_difference(gate.threshold)}"
    return f"{subject} {required}{CERTAINTY[gate.certainty]}"


def describe_value(outcome: GateOutcome) -> str:
    """Describe what was measured for a gate."""
    if outcome.value is None:
        return "not measured"
    if not math.isfinite(outcome.value):
        return "not defined"
    display = describe_metric(outcome.gate.metric)
    is_difference = outcome.gate.against != "nothing"
    format_value = display.format_difference if is_difference else display.format
    return f"{format_value(outcome.value)}{_format_interval(outcome.interval, format_value)}"


def describe_failures(outcomes: Iterable[GateOutcome | None]) -> list[str]:
    """Return a sentence for each gate that is not met."""
    return [
        f"Gate failed: {describe_condition(outcome.gate)}; measured {describe_value(outcome)}."
        for outcome in outcomes
        if outcome is not None and not outcome.passed
    ]


def _format_interval(interval: Interval | None, format_value: Callable[[float], str]) -> str:
    return f" ({format_value(interval.low)} to {format_value(interval.high)})" if interval else ""
