"""Decide the gates, and from them and the changes of metrics the verdict of a review."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lockstep.metrics.metric_display import describe_metric
from lockstep.reporting.gate_conditions import describe_condition, describe_value
from lockstep.review.markdown import quote
from lockstep.review.metric_comparison import MetricChange
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.details import Metrics
from lockstep.statistics.evidence import SIZES
from lockstep.statistics.gates import Gate, GateOutcome

Word = Literal["ship", "do not ship", "no difference shown"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict of a review, with two sentences of reasons."""

    word: Word
    reason: str


def decide_gates(
    details: Metrics, changes: Sequence[MetricChange], sizes: tuple[Metrics, Metrics]
) -> list[GateOutcome]:
    """Return the outcome of each gate of this side.

    Gates against the previous commit are decided by the changes; `sizes` are those of the quantized
    weights of base and this. The others were decided by evaluate.
    """
    by_name = {(change.variant, change.suite, change.metric): change for change in changes}
    outcomes = []
    for values in details.get("gates", []):
        gate = Gate.model_validate(values["gate"])
        if values["decided"]:
            interval = Interval(*values["interval"]) if values["interval"] else None
            outcomes.append(GateOutcome(gate, values["value"], interval))
        elif gate.suite == SIZES:
            before, after = (side.get(gate.metric) for side in sizes)
            value = None if before is None or after is None else after - before
            outcomes.append(GateOutcome(gate, value, None))
        else:
            outcomes.append(_measure(gate, by_name.get((gate.variant, gate.suite, gate.metric))))
    return outcomes


def decide(
    changes: Sequence[MetricChange], outcomes: Sequence[GateOutcome], missing: str
) -> Decision:
    """Return the verdict; `missing` says why the base has no results, "" if it has.

    A failed gate or a main metric of the variant that ships that is worse: do not ship. Else one
    that is better: ship. Chance is judged at the usual 5%, corrected for the number of metrics.
    """
    deciding = [change for change in changes if change.is_deciding]
    worse = [change for change in deciding if change.word == "worse"]
    better = [change for change in deciding if change.word == "better"]
    failed = [outcome for outcome in outcomes if not outcome.passed]
    gates = _describe_gates(outcomes, failed)
    if failed or worse:
        first = _describe_failure(failed[0]) if failed else f"{_list_changes(worse)} got worse"
        second = gates if not failed else _describe_metrics(deciding, worse, better)
        if worse and better and not failed:
            second = f"{_list_changes(better)} got better"
        return Decision("do not ship", f"{first}. {second}.")
    if missing:
        word: Word = "ship" if outcomes else "no difference shown"
        return Decision(word, f"{missing}. {gates}.")
    if better:
        return Decision(
            "ship", f"{_list_changes(better)} got better, and no main metric got worse. {gates}."
        )
    return Decision(
        "no difference shown", f"{_describe_metrics(deciding, worse, better)}. {gates}."
    )


def describe_subject(change: MetricChange) -> str:
    """Return suite and metric of a change."""
    title = describe_metric(change.metric).title
    return title if title == change.suite else f"{quote(change.suite, 40)} {title}"


def describe_change(change: MetricChange) -> str:
    """Return suite, metric, and the values of both sides."""
    display = describe_metric(change.metric)
    sides = [display.format(value) for value in (change.base, change.this) if value is not None]
    return f"{describe_subject(change)} ({' → '.join(sides)})"


def _measure(gate: Gate, change: MetricChange | None) -> GateOutcome:
    if change is None or change.base is None or change.this is None:
        return GateOutcome(gate, None, None)
    interval = change.difference.interval if change.difference else None
    return GateOutcome(gate, change.this - change.base, interval)


def _describe_gates(outcomes: Sequence[GateOutcome], failed: Sequence[GateOutcome]) -> str:
    if not outcomes:
        return "No gates are set (`evaluate.gates`)"
    if failed:
        return f"{len(failed)} of {len(outcomes)} gates failed"
    return "The gate is met" if len(outcomes) == 1 else f"All {len(outcomes)} gates are met"


def _describe_failure(outcome: GateOutcome) -> str:
    condition, value = describe_condition(outcome.gate), describe_value(outcome)
    return f"A gate failed: {quote(condition, 200)}; measured {quote(value)}"


def _describe_metrics(
    deciding: Sequence[MetricChange],
    worse: Sequence[MetricChange],
    better: Sequence[MetricChange],
) -> str:
    """Say what the main metrics did."""
    if worse or better:
        parts = [(worse, "got worse"), (better, "got better")]
        return "; ".join(f"{_list_changes(part)} {verb}" for part, verb in parts if part)
    if not any(change.difference for change in deciding):
        return "No main metric could be compared"
    if all(change.word == "same" for change in deciding if change.difference):
        same = "The main metrics of the quantized model are the same as those of the base"
        differences = [change.difference for change in deciding if change.is_paired]
        is_equal = all(d and d.interval == Interval(0.0, 0.0) for d in differences)
        return f"{same} on every test record" if differences and is_equal else same
    return (
        f"No main metric of the quantized model changed by more than chance explains"
        f"{_describe_detectable(deciding)}"
    )


def _describe_detectable(deciding: Sequence[MetricChange]) -> str:
    """Say how large a difference of the first main metric would have been found."""
    for change in deciding:
        if change.difference and change.difference.detectable:
            display = describe_metric(change.metric)
            size = display.format_difference(change.difference.detectable).lstrip("+")
            return f"; for {describe_subject(change)}, a difference of {size} would show"
    return ""


def _list_changes(changes: Sequence[MetricChange]) -> str:
    parts = [describe_change(change) for change in changes[:3]]
    if len(changes) > 3:
        parts.append(f"{len(changes) - 3} more")
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
