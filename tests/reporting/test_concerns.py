"""Concerns: each names its numbers, and a good run raises none."""

from typing import Any

from lockstep.reporting import concerns
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.texts import Text
from tests.reporting.results import make_differences, make_results

PREPARED: dict[str, Any] = {"unlearnt_labels": {}, "warnings": []}
TRAINED = {"rows": 100, "rows_truncated": 0, "rows_dropped": 0, "rows_equal": 0}


def list_concerns(results: EvaluationResults) -> list[Text]:
    return concerns.list_concerns(results, TRAINED, PREPARED)


def test_a_good_run_raises_no_concern() -> None:
    assert list_concerns(make_results((0.1, 1, 1), truncated=5)) == []


def test_each_concern_names_its_numbers() -> None:
    parts = {"seen": {"records": 60, "accuracy": 0.9}, "unseen": {"records": 40, "accuracy": 0.4}}
    results = make_results(
        (0.8, 0.7, 0.5),
        slices={"phrasing": parts},
        confusion={"a": {"a": 70}, "c": {"a": 30}},
        truncated=6,
    )
    trained = {**TRAINED, "rows_dropped": 3, "rows_equal": 2}
    warning = "The test split differs from training in the slice channel: chat is 9% of test."
    untrained = {"intent": {"lost_parcel": 2, "d": 1}, "other": {"e": 9}}
    prepared = {"unlearnt_labels": untrained, "warnings": [warning]}
    assert concerns.list_concerns(results, trained, prepared) == [
        "Tuning makes intent accuracy worse: 80.0% before, 70.0% after.",
        "Quantization makes intent accuracy worse: 70.0% before, 50.0% after.",
        "Weakest slice: intent, phrasing unseen, with 40.0% accuracy on 40 records, "
        "compared with 70.0% overall.",
        warning,
        "In no training record of intent: lost parcel, d.",
        "Never predicted correctly in intent: c.",
        "6 of 100 answers of intent were truncated at predict.max_new_tokens before the model "
        "ended them.",
        "3 of 100 training rows were dropped as too long.",
        "2 of 100 training rows were dropped, since truncation made their two answers equal.",
    ]


def test_a_sentence_names_six_labels_at_most() -> None:
    untrained = {"intent": {f"label_{letter}": 1 for letter in "abcdefgh"}}
    prepared = {**PREPARED, "unlearnt_labels": untrained}
    assert concerns.list_concerns(make_results((0.1, 1, 1)), TRAINED, prepared) == [
        "In no training record of intent: label a, label b, label c, label d, label e, label f "
        "and 2 more."
    ]


def test_a_suite_with_few_records_is_a_concern() -> None:
    assert list_concerns(make_results((0.1, 1, 1), records=49)) == [
        "Intent has only 49 test records: too few to tell models apart, or to find a label that "
        "the model lost."
    ]


def test_a_loss_by_quantization_that_could_be_chance_is_not_a_concern() -> None:
    differences = make_differences(quantization=0.06)
    assert list_concerns(make_results((0.1, 0.9, 0.8), differences)) == []


def test_a_loss_by_tuning_that_could_be_chance_is_a_concern_that_says_so() -> None:
    assert list_concerns(make_results((0.9, 0.8, 0.8), make_differences(tuning=0.06))) == [
        "Tuning makes intent accuracy worse: 90.0% before, 80.0% after (which could be chance)."
    ]


def test_a_metric_that_the_base_lacks_is_not_a_loss() -> None:
    assert list_concerns(make_results((None, 0.8, 0.8))) == []


def test_a_concern_has_a_chinese_translation_with_the_same_numbers() -> None:
    (concern,) = list_concerns(make_results((0.9, 0.8, 0.8), make_differences(tuning=0.06)))
    assert concern.zh == "微调使 intent 准确率变差：之前 90.0%，之后 80.0%（可能出于偶然）。"
