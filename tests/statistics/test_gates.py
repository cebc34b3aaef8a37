"""Gates: every direction and certainty; a metric that is missing meets no condition."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.metrics.metric_display import describe_metric
from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import Prediction
from lockstep.reporting import gate_conditions
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.evidence import Evidence
from lockstep.statistics.gates import Gate, GateOutcome, compute_outcome

SUITE = MeasuredSuite(
    task="intent",
    form="choice",
    metrics={name: METRICS["choice"][name] for name in ("accuracy", "roc_auc")},
)


def make_gate(**changes: Any) -> Gate:
    """Return a gate on the accuracy of the merged variant, with changes."""
    values = {
        "suite": "intent", "metric": "accuracy", "variant": "merged", "against": "nothing",
        "direction": "at_least", "threshold": 0.8, "certainty": "measured",
    }  # fmt: skip
    return Gate.model_validate(values | changes)


@pytest.mark.parametrize(
    ("direction", "certainty", "passed"),
    [
        ("at_least", "measured", [True, True, False, False]),
        ("at_least", "proven", [True, False, False, False]),
        ("at_least", "not_refuted", [True, True, True, False]),
        ("at_most", "measured", [False, False, True, True]),
        ("at_most", "proven", [False, False, False, True]),
        ("at_most", "not_refuted", [False, True, True, True]),
    ],
)
def test_the_value_or_its_interval_must_be_on_the_right_side(
    direction: str, certainty: str, passed: list[bool]
) -> None:
    gate = make_gate(direction=direction, certainty=certainty)
    measured = [(0.9, 0.85, 0.95), (0.82, 0.7, 0.9), (0.78, 0.7, 0.9), (0.6, 0.5, 0.7)]
    outcomes = [GateOutcome(gate, value, Interval(*ends)) for value, *ends in measured]
    assert [outcome.passed for outcome in outcomes] == passed


def test_the_threshold_itself_meets_the_condition() -> None:
    assert GateOutcome(make_gate(), 0.8, None).passed
    assert GateOutcome(make_gate(direction="at_most"), 0.8, None).passed


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_missing_or_infinite_value_meets_no_condition(value: float | None) -> None:
    for direction in ("at_least", "at_most"):
        assert not GateOutcome(make_gate(direction=direction), value, None).passed
        gate = make_gate(direction=direction, certainty="proven")
        assert not GateOutcome(gate, 0.9, None).passed


def make_predictions(right: int) -> list[Prediction]:
    """Return 20 predictions, `right` of them correct."""
    return [
        Prediction(
            id=str(number), task="intent", slices={}, question="", prompt="", reference="a",
            prediction="ab"[number >= right], answer_form="choice",
            option_scores={"a": 0.0, "b": 0.0},
        )
        for number in range(20)
    ]  # fmt: skip


@pytest.fixture
def evidence() -> Evidence:
    variants = {"base": 8, "merged": 19, "quantized": 16, "earlier": 18}
    predictions = {name: make_predictions(right) for name, right in variants.items()}
    return Evidence(predictions, [SUITE], 7)


def test_a_metric_and_a_difference_follow_from_the_predictions(evidence: Evidence) -> None:
    assert compute_outcome(make_gate(), evidence).value == pytest.approx(19 / 20)
    gate = make_gate(variant="quantized", against="merged", threshold=-0.2)
    loss = compute_outcome(gate, evidence)
    assert loss.value == pytest.approx(-3 / 20) and loss.passed
    gate = make_gate(variant="quantized", against="merged", threshold=-0.2, certainty="proven")
    assert not compute_outcome(gate, evidence).passed
    gain = compute_outcome(make_gate(against="base", threshold=0.3, certainty="proven"), evidence)
    assert gain.passed and gain.interval and gain.interval.low > 0.3


def test_the_caller_names_the_variant_of_the_previous_commit(evidence: Evidence) -> None:
    outcome = compute_outcome(make_gate(against="previous", threshold=0), evidence, "earlier")
    assert outcome.value == pytest.approx(1 / 20)


@pytest.mark.parametrize(
    ("missing", "value"),
    [
        ({"metric": "roc_auc"}, "not defined"),  # all references are "a"
        ({"metric": "weighted_f1"}, "not measured"),
        ({"suite": "refunds"}, "not measured"),
    ],
)
def test_a_metric_that_is_missing_or_not_defined_fails_its_gate_by_name(
    evidence: Evidence, missing: dict[str, str], value: str
) -> None:
    names = {"suite": "intent", "metric": "accuracy", **missing}
    metric = f"{names['suite']} {describe_metric(names['metric']).title}"
    for against, bound in ("nothing", " at least"), ("base", " minus that of base, at least"):
        outcome = compute_outcome(make_gate(against=against, threshold=-1, **missing), evidence)
        assert not outcome.passed
        (line,) = gate_conditions.describe_failures([outcome])
        assert line.startswith(f"Gate failed: merged: {metric}{bound} ")
        assert line.endswith(f"; measured {value}.")


def test_sizes_are_compared_like_metrics() -> None:
    sizes: dict[str, dict[str, float]] = {
        "merged": {"bytes": 1000, "ratio": 1.0},
        "quantized": {"bytes": 400, "ratio": 0.4},
        "earlier": {"bytes": 410},
    }
    evidence = Evidence(dict.fromkeys(sizes, make_predictions(5)), [SUITE], 7, sizes)
    size = {"suite": "quantize", "variant": "quantized", "direction": "at_most"}
    for metric, threshold, passed in ("bytes", 400, True), ("ratio", 0.39, False):
        outcome = compute_outcome(make_gate(**size, metric=metric, threshold=threshold), evidence)
        assert outcome.passed == passed
    (line,) = gate_conditions.describe_failures([outcome])
    assert line == "Gate failed: quantized: quantize ratio at most 0.390; measured 0.400."
    less = make_gate(**size, metric="bytes", against="merged", threshold=-500)
    assert compute_outcome(less, evidence).value == -600
    grown = make_gate(**size, metric="bytes", against="previous", threshold=0)
    assert compute_outcome(grown, evidence, "earlier").value == -10
    assert not compute_outcome(make_gate(**size, metric="parameters"), evidence).passed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variant": "merged"}, "set variant: quantized and certainty: measured"),
        ({"certainty": "proven"}, "set variant: quantized and certainty: measured"),
        ({"against": "base"}, "quantize has no size of the base; set it to merged"),
    ],
)
def test_gates_on_sizes_that_are_never_measured_are_refused(
    changes: dict[str, str], words: str
) -> None:
    size = {"suite": "quantize", "metric": "bytes", "variant": "quantized"}
    with pytest.raises(ValidationError, match=words):
        make_gate(**size | changes)


def test_a_gate_against_its_own_variant_is_refused() -> None:
    with pytest.raises(ValidationError, match="merged cannot be compared with itself"):
        make_gate(against="merged")
