"""Gates: each direction and certainty, and that what is missing keeps none."""

import math
from typing import Any

import pytest
from lockstep.metrics.suites import Suite
from lockstep.reporting.metric_display import measure
from pydantic import ValidationError

from lockstep.predictions import Prediction
from lockstep.reporting import gate_conditions
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.evidence import Evidence
from lockstep.statistics.gates import Gate, Outcome, decide

SUITES = [Suite(task="intent", answer="choice", metrics=["accuracy", "roc_auc"])]


def gate(**changes: Any) -> Gate:
    values = {
        "suite": "intent", "metric": "accuracy", "variant": "merged", "against": "nothing",
        "direction": "at_least", "threshold": 0.8, "certainty": "figure",
    }  # fmt: skip
    return Gate.model_validate(values | changes)


@pytest.mark.parametrize(
    ("direction", "certainty", "passed"),
    [
        ("at_least", "figure", [True, True, False, False]),
        ("at_least", "proven", [True, False, False, False]),
        ("at_least", "not_refuted", [True, True, True, False]),
        ("at_most", "figure", [False, False, True, True]),
        ("at_most", "proven", [False, False, False, True]),
        ("at_most", "not_refuted", [False, True, True, True]),
    ],
)
def test_what_must_be_on_which_side(direction: str, certainty: str, passed: list[bool]):
    asked = gate(direction=direction, certainty=certainty)
    found = [(0.9, 0.85, 0.95), (0.82, 0.7, 0.9), (0.78, 0.7, 0.9), (0.6, 0.5, 0.7)]
    assert [Outcome(asked, value, Interval(*ends)).passed for value, *ends in found] == passed


def test_the_threshold_itself_is_kept():
    assert Outcome(gate(), 0.8, None).passed
    assert Outcome(gate(direction="at_most"), 0.8, None).passed


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_keeps_no_gate(value: float | None):
    for direction in ("at_least", "at_most"):
        assert not Outcome(gate(direction=direction), value, None).passed
        assert not Outcome(gate(direction=direction, certainty="proven"), 0.9, None).passed


def answered(right: int) -> list[Prediction]:
    """Of 20 records, so many are right."""
    return [
        Prediction(
            id=str(n), task="intent", slices={}, question="", prompt="", reference="a",
            prediction="ab"[n >= right], option_scores={"a": 0.0, "b": 0.0},
        )
        for n in range(20)
    ]  # fmt: skip


@pytest.fixture
def evidence() -> Evidence:
    variants = {"base": 8, "merged": 19, "quantized": 16, "earlier": 18}
    return Evidence({name: answered(right) for name, right in variants.items()}, SUITES, 7)


def test_a_figure_and_a_difference_are_those_of_the_answers(evidence: Evidence):
    assert decide(gate(), evidence).value == pytest.approx(19 / 20)
    lost = decide(gate(variant="quantized", against="merged", threshold=-0.2), evidence)
    assert lost.value == pytest.approx(-3 / 20) and lost.passed
    assert not decide(
        gate(variant="quantized", against="merged", threshold=-0.2, certainty="proven"), evidence
    ).passed
    gained = decide(gate(against="base", threshold=0.3, certainty="proven"), evidence)
    assert gained.passed and gained.interval and gained.interval.low > 0.3


def test_the_previous_commit_is_named_by_who_knows_it(evidence: Evidence):
    found = decide(gate(against="previous", threshold=0), evidence, "earlier")
    assert found.value == pytest.approx(1 / 20)


@pytest.mark.parametrize(
    ("missing", "finding"),
    [
        ({"metric": "roc_auc"}, "not defined"),  # nothing but a is expected
        ({"metric": "weighted_f1"}, "not measured"),
        ({"suite": "refunds"}, "not measured"),
    ],
)
def test_a_figure_that_is_missing_or_not_defined_fails_its_gate_by_name(
    evidence: Evidence, missing: dict[str, str], finding: str
):
    named = {"suite": "intent", "metric": "accuracy", **missing}
    what = f"{named['suite']} {measure(named['metric']).title}"
    for against, asked in ("nothing", " at least"), ("base", " minus that of base, at least"):
        found = decide(gate(against=against, threshold=-1, **missing), evidence)
        assert not found.passed
        (line,) = gate_conditions.failures([found])
        assert line.startswith(f"Gate failed: merged: {what}{asked} ")
        assert line.endswith(f"; found {finding}.")


def test_a_gate_against_itself_is_refused():
    with pytest.raises(ValidationError, match="merged cannot be held against itself"):
        gate(against="merged")
