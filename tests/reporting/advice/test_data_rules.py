"""Advice on slices, labels, rows and refusals fires where an interval proves the limit."""

from typing import Any

import pytest

from tests.reporting.advice.runs import SAME, advise, list_rules, make_difference, make_suite


def make_slice(interval: tuple[float, float], records: int = 40) -> dict[str, Any]:
    """Return a suite with a slice whose accuracy has this interval."""
    part = {
        "records": records,
        "accuracy": sum(interval) / 2,
        "intervals": {"accuracy": [*interval]},
    }
    return {"intent": make_suite(slices={"language": {"zh": part}})}


def test_a_slice_that_is_proven_weak_asks_for_rows_of_its_kind() -> None:
    [item] = advise(make_slice((0.4, 0.6)))
    assert item.rule == "weak_slice"
    assert (
        "language zh: 50.0% on 40 test records, 92.0% overall. 9 training rows" in item.finding.en
    )
    assert "训练数据中有 9 条" in item.finding.zh
    assert list_rules(make_slice((0.6, 0.9))) == [], "the intervals overlap"
    assert list_rules(make_slice((0.4, 0.6), records=9)) == [], "too few records"


def make_classes(interval: list[float]) -> dict[str, Any]:
    facts = {"records": 20, "recall": 0.3, "intervals": {"recall": interval}}
    return {"intent": make_suite(classes={"rare_one": facts, "usual": facts})}


def test_a_weak_label_with_few_rows_is_named() -> None:
    labels = {"labels": {"intent": {"rare_one": 12, "usual": 300, "other": 280}}}
    [item] = advise(make_classes([0.1, 0.5]), prepared=labels)
    assert item.rule == "few_rows_of_label"
    assert "usual 280 (rows in brackets): rare one 30% (12)." in item.finding.en
    assert list_rules(make_classes([0.1, 0.9]), prepared=labels) == []


def make_confusion(count: int) -> dict[str, Any]:
    return {"intent": make_suite(confusion={"a": {"a": 100 - count, "b": count}, "b": {"b": 50}})}


def test_labels_that_are_confused_more_often_than_labels_are_wrong_are_named() -> None:
    [item] = advise(make_confusion(20))
    assert (item.rule, item.finding.en) == ("confused_labels", "Intent confuses a → b (20/100).")
    assert list_rules(make_confusion(4)) == [], "4% could be wrong labels"


@pytest.mark.parametrize(
    ("rows", "rules"),
    [
        ({"read": 100, "rejected": 0, "duplicates": 20}, ["many_duplicates"]),
        ({"read": 100, "rejected": 5, "duplicates": 0}, ["many_rejected"]),
        ({"read": 100, "rejected": 2, "duplicates": 14}, []),
        ({"read": 0, "rejected": 0, "duplicates": 0}, []),
    ],
)
def test_duplicates_and_rejected_rows_count_by_their_share(
    rows: dict[str, int], rules: list[str]
) -> None:
    assert list_rules(prepared={"rows": rows}) == rules


@pytest.mark.parametrize(
    ("metric", "rule"),
    [("safe_answered", "safe_prompts_refused"), ("unsafe_refused", "unsafe_prompts_answered")],
)
def test_both_errors_of_refusal_have_their_own_advice(metric: str, rule: str) -> None:
    def make_refusals(high: float) -> dict[str, Any]:
        suite = make_suite(intervals={"accuracy": [0.88, 0.95], metric: [0.5, high]})
        return {"intent": {**suite, "overall": {"accuracy": 0.92, metric: 0.7}}}

    [item] = advise(make_refusals(0.8))
    assert item.rule == rule
    assert "70.0%, less than 95%" in item.finding.en
    assert list_rules(make_refusals(0.97)) == []


def test_a_test_split_that_shows_nothing_asks_for_more_records() -> None:
    [item] = advise(tuning=make_difference(0.05, -0.06, 0.16, p=0.4, detectable=0.15))
    assert item.rule == "test_split_too_small"
    assert "about 900 records, which would show 5.0 points" in item.action.en, "100 × (15 / 5)²"
    assert list_rules(tuning=make_difference(*SAME, p=0.9, detectable=0.04)) == []
