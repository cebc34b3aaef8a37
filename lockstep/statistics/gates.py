"""Gates: conditions that a model must meet to ship."""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import model_validator

from lockstep.params import Section
from lockstep.predictions import Variant
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.evidence import SIZES, Evidence


class Gate(Section):
    """A condition on a metric, or on its difference from the same metric of another variant."""

    suite: str
    """Task of a suite, `perplexity` for the metrics of all references, or `quantize` for the size
    of the quantized weights."""
    metric: str
    """Name of the metric; of quantize: bytes, or ratio to the bytes of the merged weights."""
    variant: Variant
    """Variant that must meet the condition."""
    against: Literal["nothing", "base", "merged", "previous"] = "nothing"
    """nothing: the condition is on the metric itself; base, merged: on its difference from the
    metric of that variant; previous: on its difference from the same variant of the previous
    commit."""
    direction: Literal["at_least", "at_most"]
    """Whether the threshold is a lower or an upper bound."""
    threshold: float
    """Bound in the metric's own unit: 0.01 is a percentage point of accuracy."""
    certainty: Literal["measured", "proven", "not_refuted"] = "measured"
    """measured: the measured value must meet the condition; proven: its whole 95% interval must;
    not_refuted: at least a part of the interval must."""

    @model_validator(mode="after")
    def _check_variants(self) -> "Gate":
        if self.against == self.variant:
            raise ValueError(f"against: {self.variant} cannot be compared with itself")
        if self.suite == SIZES and (self.variant != "quantized" or self.certainty != "measured"):
            raise ValueError(
                f"suite: {SIZES} has the size of the quantized variant, which has no interval; set "
                "variant: quantized and certainty: measured"
            )
        if self.suite == SIZES and self.against == "base":
            raise ValueError(f"against: {SIZES} has no size of the base; set it to merged")
        return self


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """A gate with the value that was measured for it."""

    gate: Gate
    value: float | None
    """The metric or the difference; None if it is not measured."""
    interval: Interval | None
    """95% interval of the value; None if it has none."""

    @property
    def passed(self) -> bool:
        """Whether the condition is met; a missing metric meets no condition."""
        value = self._compared_value
        if value is None or not math.isfinite(value):
            return False
        if self.gate.direction == "at_least":
            return value >= self.gate.threshold
        return value <= self.gate.threshold

    @property
    def _compared_value(self) -> float | None:
        """Measured value, or the end of its interval that the certainty compares."""
        if self.gate.certainty == "measured":
            return self.value
        if self.interval is None:
            return None
        is_proof = self.gate.certainty == "proven"
        is_lower_bound = self.gate.direction == "at_least"
        return self.interval.low if is_proof == is_lower_bound else self.interval.high


def compute_outcome(gate: Gate, evidence: Evidence, against: str | None = None) -> GateOutcome:
    """Measure a gate's metric or difference.

    `against` replaces `gate.against` as the variant to compare with, for example by the name under
    which the evidence holds the predictions of the previous commit.
    """
    after = evidence.compute_metric(gate.variant, gate.suite, gate.metric)
    if gate.against == "nothing":
        intervals = evidence.compute_intervals(gate.variant).get(gate.suite, {})
        return GateOutcome(gate, after, intervals.get(gate.metric))
    other = against or gate.against
    before = evidence.compute_metric(other, gate.suite, gate.metric)
    if before is None or after is None:
        return GateOutcome(gate, None, None)
    differences = evidence.compute_differences(other, gate.variant).get(gate.suite, {})
    difference = differences.get(gate.metric)
    return GateOutcome(gate, after - before, difference.interval if difference else None)
