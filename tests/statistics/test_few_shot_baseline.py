"""The tuned model without examples against the base with examples, on the same records."""

import pytest

from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite, build_measured_suites
from lockstep.predictions import ZERO_SHOT, Prediction
from lockstep.statistics.few_shot_baseline import compute_baselines


def make_rows(zero_shot: int, few_shot: int) -> list[Prediction]:
    """Return answers to 8 records, in reverse order with examples; the first ones are right."""
    plain = [
        Prediction(id=str(n), task="intent", slices={}, question="", prompt="", reference="a",
                   prediction="a" if n < zero_shot else "b", answer_form="written_label")
        for n in range(8)
    ]  # fmt: skip
    examples = [
        Prediction(id=f"f{n}", task="intent-4-shot", slices={ZERO_SHOT: str(n)}, question="",
                   prompt="", reference="a", prediction="a" if n < few_shot else "b",
                   answer_form="written_label")
        for n in reversed(range(8))
    ]  # fmt: skip
    return [*plain, *examples]


def make_suites(*names: str) -> list[MeasuredSuite]:
    metrics = {name: METRICS["written_label"][name] for name in names}
    return [
        MeasuredSuite(task=task, form="written_label", metrics=metrics)
        for task in ("intent", "intent-4-shot")
    ]


def test_the_records_are_paired() -> None:
    suites = make_suites("macro_f1", "accuracy")
    baselines = compute_baselines(make_rows(0, 2), make_rows(7, 8), suites, 7)
    assert list(baselines) == ["intent-4-shot"]
    assert list(baselines["intent-4-shot"]) == ["accuracy"], "the main metric"
    difference = baselines["intent-4-shot"]["accuracy"]
    assert (difference.records, difference.value) == (8, 5 / 8)
    assert difference.p == pytest.approx(2 / 2**5)  # McNemar: 5 better, 0 worse
    same = compute_baselines(make_rows(0, 7), make_rows(7, 0), suites, 7)
    assert same["intent-4-shot"]["accuracy"].p == 1


def test_without_few_shot_suites_there_is_no_baseline() -> None:
    rows = make_rows(1, 1)[:8]
    assert compute_baselines(rows, rows, make_suites("accuracy")[:1], 7) == {}


def test_a_few_shot_suite_has_the_metrics_of_its_task() -> None:
    rows = make_rows(1, 1)
    suites = build_measured_suites(rows, {"intent": ["macro_recall"]}, {})
    assert [list(suite.metrics) for suite in suites] == [["macro_recall"]] * 2
    suites = build_measured_suites(
        rows, {"intent": ["macro_recall"], "intent-4-shot": ["accuracy"]}, {}
    )
    assert [list(suite.metrics) for suite in suites] == [["macro_recall"], ["accuracy"]]
