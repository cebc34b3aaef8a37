"""Conditions that a model must meet to ship."""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import model_validator

from lockstep.params import Section
from lockstep.predicting.predict_params import Suites
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.evidence import Evidence

Variant = Literal["base", "merged", "quantized"]


class Gate(Section):
    """One condition on one figure, or on its distance from another model's."""

    suite: str
    """A task of the suites, or perplexity."""
    metric: str
    variant: Variant
    against: Literal["nothing", "base", "merged", "previous"]
    """nothing: the figure itself; else its difference from that variant's, or from the same
    variant's at the previous commit."""
    direction: Literal["at_least", "at_most"]
    threshold: float
    """In the figure's own unit: 0.01 is a percentage point of accuracy."""
    certainty: Literal["figure", "proven", "not_refuted"]
    """figure: what was measured counts; proven: its whole 95% interval must keep the condition;
    not_refuted: a part of it must."""

    @model_validator(mode="after")
    def _comparing_two(self) -> "Gate":
        if self.against == self.variant:
            raise ValueError(f"against: {self.variant} cannot be held against itself")
        return self


class Judged(Suites):
    """What the report judges by; a change of it asks no model again."""

    gates: list[Gate]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A gate, what was found, and whether that keeps it."""

    gate: Gate
    value: float | None
    """The figure or the difference; None where there is none."""
    interval: Interval | None

    @property
    def passed(self) -> bool:
        """A figure that is missing keeps nothing."""
        at_least = self.gate.direction == "at_least"
        held: float | None = self.value
        if self.gate.certainty != "figure":
            ends = self.interval
            low = (self.gate.certainty == "proven") == at_least
            held = None if ends is None else ends.low if low else ends.high
        if held is None or not math.isfinite(held):
            return False
        return held >= self.gate.threshold if at_least else held <= self.gate.threshold


def decide(gate: Gate, evidence: Evidence, against: str | None = None) -> Outcome:
    """Whether the gate is kept; `against` names the variant that its difference is from, where
    that is not `gate.against`."""
    if gate.against == "nothing":
        ends = evidence.intervals(gate.variant).get(gate.suite, {}).get(gate.metric)
        return Outcome(gate, evidence.figure(gate.variant, gate.suite, gate.metric), ends)
    before = against or gate.against
    old, new = (evidence.figure(one, gate.suite, gate.metric) for one in (before, gate.variant))
    if old is None or new is None:
        return Outcome(gate, None, None)
    difference = evidence.differences(before, gate.variant).get(gate.suite, {}).get(gate.metric)
    return Outcome(gate, new - old, difference.interval if difference else None)
