"""The gates as a reader sees them: what was asked, what was found, whether it is kept."""

import math
from collections.abc import Callable, Iterable

from lockstep.reporting.metric_display import measure, words
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.gates import Gate, Outcome

CERTAINTY = {
    "figure": "",
    "proven": ", proven by its whole 95% interval",
    "not_refuted": ", unless its whole 95% interval says otherwise",
}


def condition(gate: Gate) -> str:
    """What a gate asks for."""
    own = measure(gate.metric)
    figure = f"{gate.variant}: {words(gate.suite)}"
    if own.title != gate.suite:
        figure += f" {own.title}"
    bound = gate.direction.replace("_", " ")
    if gate.against == "nothing":
        asked = f"{bound} {own.show(gate.threshold)}"
    else:
        other = "previous commit" if gate.against == "previous" else gate.against
        asked = f"minus that of {other}, {bound} {own.step(gate.threshold)}"
    return f"{figure} {asked}{CERTAINTY[gate.certainty]}"


def finding(outcome: Outcome) -> str:
    """What was found; that it is not measured or not defined, where it is not."""
    if outcome.value is None:
        return "not measured"
    if not math.isfinite(outcome.value):
        return "not defined"
    own, against = measure(outcome.gate.metric), outcome.gate.against
    show = own.show if against == "nothing" else own.step
    return f"{show(outcome.value)}{between(outcome.interval, show)}"


def failures(outcomes: Iterable[Outcome | None]) -> list[str]:
    """A sentence for each gate that is not kept."""
    return [
        f"Gate failed: {condition(one.gate)}; found {finding(one)}."
        for one in outcomes
        if one is not None and not one.passed
    ]


def between(interval: Interval | None, show: Callable[[float], str]) -> str:
    """An interval behind its figure; nothing where it is not known."""
    return f" ({show(interval.low)} to {show(interval.high)})" if interval else ""
