"""Gates: conditions that a model must meet to ship."""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import model_validator

from lockstep.params import Section
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.evidence import Evidence

Variant = Literal["base", "merged", "quantized"]


class Gate(Section):
    """A condition on one metric, or on its difference from another model's."""

    suite: str
    """Task of a suite, or perplexity (of all test records)."""
    metric: str
    """Name of the metric."""
    variant: Variant
    """Variant that must meet the condition."""
    against: Literal["nothing", "base", "merged", "previous"] = "nothing"
    """nothing: the metric itself; else its difference from that variant's metric, or from the same
    variant's at the previous commit."""
    direction: Literal["at_least", "at_most"]
    """Whether the threshold is a lower or an upper bound."""
    threshold: float
    """Bound in the metric's own unit: 0.01 is a percentage point of accuracy."""
    certainty: Literal["measured", "proven", "not_refuted"] = "measured"
    """measured: the measured value counts; proven: the whole 95% interval must meet the
    condition; not_refuted: a part of it must."""

    @model_validator(mode="after")
    def _compares_two(self) -> "Gate":
        if self.against == self.variant:
            raise ValueError(f"against: {self.variant} cannot be compared with itself")
        return self


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """A gate and what was measured for it."""

    gate: Gate
    value: float | None
    """The metric or the difference; None if it is not measured."""
    interval: Interval | None

    @property
    def passed(self) -> bool:
        """Whether the condition is met; a missing metric meets no condition."""
        at_least = self.gate.direction == "at_least"
        value: float | None = self.value
        if self.gate.certainty != "measured":
            use_low = (self.gate.certainty == "proven") == at_least
            interval = self.interval
            value = None if interval is None else interval.low if use_low else interval.high
        if value is None or not math.isfinite(value):
            return False
        return value >= self.gate.threshold if at_least else value <= self.gate.threshold


def compute_outcome(gate: Gate, evidence: Evidence, against: str | None = None) -> GateOutcome:
    """Decide a gate; `against` names the variant to compare with where it is not gate.against."""
    if gate.against == "nothing":
        interval = evidence.intervals(gate.variant).get(gate.suite, {}).get(gate.metric)
        value = evidence.metric(gate.variant, gate.suite, gate.metric)
        return GateOutcome(gate, value, interval)
    other = against or gate.against
    before = evidence.metric(other, gate.suite, gate.metric)
    after = evidence.metric(gate.variant, gate.suite, gate.metric)
    if before is None or after is None:
        return GateOutcome(gate, None, None)
    difference = evidence.differences(other, gate.variant).get(gate.suite, {}).get(gate.metric)
    return GateOutcome(gate, after - before, difference.interval if difference else None)
