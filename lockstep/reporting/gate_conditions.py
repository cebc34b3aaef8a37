"""Gates in words: the condition, the measured value, and whether it is met."""

import math
from collections.abc import Iterable

from lockstep.metrics.metric_display import describe_metric
from lockstep.reporting.metric_texts import format_difference, name_subject, name_task
from lockstep.reporting.texts import Text, say, translate_term
from lockstep.statistics.gates import Gate, GateOutcome

CERTAINTY = {
    "measured": "",
    "proven": ", proven by the whole 95% interval",
    "not_refuted": ", unless the whole 95% interval refutes it",
}
"""Certainty of a gate -> its description at the end of the condition."""


def describe_condition(gate: Gate) -> Text:
    """Describe what a gate requires."""
    display = describe_metric(gate.metric)
    subject = (
        name_task(gate.suite)
        if display.title == gate.suite
        else name_subject(gate.suite, gate.metric)
    )
    bound = translate_term(gate.direction.replace("_", " "))
    if gate.against == "nothing":
        required = say("{bound} {value}", bound=bound, value=display.format(gate.threshold))
    else:
        other = "the previous commit" if gate.against == "previous" else gate.against
        required = say(
            "minus that of {other}, {bound} {value}",
            other=translate_term(other),
            bound=bound,
            value=format_difference(display, gate.threshold),
        )
    return say(
        "{variant}: {subject} {required}{certainty}",
        variant=translate_term(gate.variant),
        subject=subject,
        required=required,
        certainty=translate_term(CERTAINTY[gate.certainty]),
    )


def describe_value(outcome: GateOutcome) -> Text:
    """Describe what was measured for a gate."""
    if outcome.value is None:
        return say("not measured")
    if not math.isfinite(outcome.value):
        return say("not defined")
    display = describe_metric(outcome.gate.metric)
    is_difference = outcome.gate.against != "nothing"

    def format_value(value: float) -> Text:
        if is_difference:
            return format_difference(display, value)
        return translate_term(display.format(value))

    value = format_value(outcome.value)
    interval = outcome.interval
    if not interval:
        return value
    low, high = format_value(interval.low), format_value(interval.high)
    return say("{value} ({low} to {high})", value=value, low=low, high=high)


def describe_failures(outcomes: Iterable[GateOutcome | None]) -> list[Text]:
    """Return a sentence for each gate that is not met."""
    return [
        say(
            "Gate failed: {condition}; measured {value}.",
            condition=describe_condition(outcome.gate),
            value=describe_value(outcome),
        )
        for outcome in outcomes
        if outcome is not None and not outcome.passed
    ]
