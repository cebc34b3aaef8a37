"""Forgetting compares the tuned model with its base on test records of earlier rounds."""

from collections.abc import Sequence
from typing import Any

import pytest

from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import ZERO_SHOT, Prediction
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.forgetting import compute_forgetting, compute_loss
from lockstep.statistics.summary_metrics import summarize_forgetting

SUITES = [
    MeasuredSuite(task=task, form="written_label", metrics=dict(METRICS["written_label"]))
    for task in ("intent", "topic")
]


def make_rows(right: Sequence[int], number: int = 8, task: str = "intent") -> list[Prediction]:
    return [
        Prediction(
            id=f"{task}{n}", task=task, slices={}, question="", prompt="", reference="a",
            prediction="a" if n in right else "b", answer_form="written_label",
        )
        for n in range(number)
    ]  # fmt: skip


def compute(
    base: list[Prediction], merged: list[Prediction], rounds: dict[str, int], last: int = 1
) -> Any:
    sources = {record_id: f"round-{number}" for record_id, number in rounds.items()}
    return compute_forgetting(base, merged, SUITES, sources, {"round-0": 0, "round-1": last}, 7)


ROUNDS = {f"intent{n}": int(n >= 6) for n in range(8)}
"""Records 0 to 5 are old, 6 and 7 are new."""


def test_old_and_new_records_are_compared_apart_and_in_pairs() -> None:
    values = compute(make_rows([0, 1, 2, 3, 4]), make_rows([5, 6, 7]), ROUNDS)
    old, new = values["old"]["intent"], values["new"]["intent"]
    assert (old["metric"], old["records"]) == ("accuracy", 6)
    assert (old["before"], old["after"]) == pytest.approx((5 / 6, 1 / 6), rel=1e-4)
    # McNemar's exact test: 5 records get worse and 1 better; 2 * (1 + 6) / 2**6
    assert old["p"] == old["p_adjusted"] == pytest.approx(14 / 64, rel=1e-4)
    assert (new["records"], new["before"], new["after"]) == (2, 0.0, 1.0)
    assert compute_loss(old)[0] == pytest.approx(4 / 6, rel=1e-4)
    assert compute_loss(new)[0] == -1.0


def test_the_average_is_that_of_the_suites_and_p_values_are_corrected_for_them() -> None:
    rounds = {**ROUNDS, **{f"topic{n}": 0 for n in range(20)}}
    base = [*make_rows(range(6)), *make_rows(range(20), 20, "topic")]
    merged = [*make_rows([6, 7]), *make_rows(range(10), 20, "topic")]
    values = compute(base, merged, rounds)
    assert values["average"]["forgetting"] == (1.0 + 0.5) / 2
    low, high = values["average"]["interval"]
    assert low < 0.75 < high
    topic, intent = values["old"]["topic"], values["old"]["intent"]
    assert topic["p_adjusted"] == pytest.approx(2 * topic["p"], rel=1e-3)  # Holm
    assert intent["p_adjusted"] == intent["p"] == pytest.approx(2 / 2**6)
    assert "topic" not in values["new"]
    assert summarize_forgetting(values) == {
        "forgetting": {"intent": 1.0, "topic": 0.5, "average": 0.75}
    }


def test_the_interval_of_one_suite_is_that_of_the_average() -> None:
    values = compute(make_rows([0, 1, 2, 3, 4]), make_rows([0, 1]), ROUNDS)
    interval = compute_loss(values["old"]["intent"])[1]
    assert values["average"]["interval"] == pytest.approx([interval.low, interval.high], rel=1e-4)


def test_a_rise_is_a_loss_where_lower_is_better() -> None:
    values = {"metric": "mean_absolute_error", "difference": 0.2, "interval": [0.1, 0.4]}
    assert compute_loss(values) == (0.2, Interval(0.1, 0.4))
    assert compute_loss({**values, "metric": "accuracy"}) == (-0.2, Interval(-0.4, -0.1))


def test_records_with_examples_in_the_prompt_and_generated_ones_do_not_count() -> None:
    rows = make_rows([0])
    shots = [
        Prediction(
            id=f"shot{n}", task="intent", slices={ZERO_SHOT: f"intent{n}"}, question="", prompt="",
            reference="a", prediction="b", answer_form="written_label",
        )
        for n in range(3)
    ]  # fmt: skip
    rounds = {**ROUNDS, "shot0": 0}
    values = compute([*rows, *shots], [*rows, *shots], rounds)
    assert values["old"]["intent"]["records"] == 6


def test_the_last_round_may_have_no_test_records() -> None:
    values = compute(make_rows([0, 1]), make_rows([0]), dict.fromkeys(ROUNDS, 0))
    assert values["old"]["intent"]["records"] == 8
    assert values["new"] == {}


def test_one_round_forgets_nothing() -> None:
    rows = make_rows([0])
    assert compute(rows, rows, ROUNDS, last=0) == {}
    assert summarize_forgetting({}) == {}
