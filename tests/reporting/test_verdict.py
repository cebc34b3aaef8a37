"""The verdict: the headline, the concerns, and the slices behind them."""

from typing import Any

import pytest

from lockstep.reporting import verdict
from lockstep.reporting.evaluation_results import EvaluationResults
from tests.reporting.results import make_differences, make_results

NF4 = {"method": "nf4", "bytes_before": 1000, "bytes_after": 380}
PREPARED: dict[str, Any] = {"unlearnt_labels": {}, "warnings": []}
TRAINED = {"rows": 100, "rows_truncated": 0, "rows_dropped": 0, "rows_equal": 0}


def list_concerns(results: EvaluationResults) -> list[str]:
    return verdict.list_concerns(results, [], TRAINED, PREPARED)


@pytest.mark.parametrize(
    ("accuracies", "sentence"),
    [
        (
            (0.12, 0.913, 0.909),
            "Tuning raises intent accuracy from 12.0% to 91.3%; "
            "4-bit costs 0.4 points and saves 62% of the bytes.",
        ),
        (
            (0.913, 0.88, 0.89),
            "Tuning lowers intent accuracy from 91.3% to 88.0%; "
            "4-bit gains 1 points and saves 62% of the bytes.",
        ),
        (
            (0.9, 0.9, 0.9),
            "Tuning leaves intent accuracy at 90.0%; "
            "4-bit costs nothing and saves 62% of the bytes.",
        ),
        (
            (None, 0.9, 0.8),
            "Tuning brings intent accuracy to 90.0%; "
            "4-bit costs 10 points and saves 62% of the bytes.",
        ),
        (
            (0.8, 0.9, None),
            "Tuning raises intent accuracy from 80.0% to 90.0%; 4-bit saves 62% of the bytes.",
        ),
        (
            (0.8, None, None),
            "Tuning leaves perplexity at 2.00; 4-bit costs nothing and saves 62% of the bytes.",
        ),
    ],
)
def test_the_headline_states_the_changes_of_tuning_and_quantization(
    accuracies: Any, sentence: str
) -> None:
    assert verdict.write_headline(make_results(accuracies), NF4) == sentence


def test_the_headline_suits_a_metric_where_lower_is_better() -> None:
    results = make_results((None, None, None))
    results.variants["base"]["perplexity"] = 9.0
    results.variants["quantized"]["perplexity"] = 2.5
    assert verdict.write_headline(results, NF4) == (
        "Tuning lowers perplexity from 9.00 to 2.00; 4-bit costs 0.5 and saves 62% of the bytes."
    )


def test_without_any_metric_the_headline_says_so() -> None:
    results = make_results((None, None, None))
    for metrics in results.variants.values():
        del metrics["perplexity"]
    assert verdict.write_headline(results, NF4) == (
        "Nothing was measured; 4-bit saves 62% of the bytes."
    )


def test_the_headline_says_which_changes_could_be_chance() -> None:
    results = make_results((0.389, 0.5, 0.611), make_differences(0.2, 0.05))
    assert verdict.write_headline(results, NF4) == (
        "Tuning raises intent accuracy from 38.9% to 50.0% (which could be chance); "
        "4-bit gains 11.1 points (which could be chance) and saves 62% of the bytes."
    )


def test_a_larger_file_is_not_called_a_saving() -> None:
    int8 = {"method": "int8", "bytes_before": 100, "bytes_after": 110}
    sentence = "8-bit costs nothing and takes 10% more bytes"
    assert verdict.describe_quantization(0, True, int8, "") == sentence


def test_pruning_saves_no_bytes() -> None:
    pruned = {"method": "pruned", "bytes_before": 100, "bytes_after": 100}
    sentence = "pruning costs 1.5 points and saves no bytes"
    assert verdict.describe_quantization(-1.5, True, pruned, "") == sentence


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
    log = [
        {"step": 10.0, "loss": 1.0, "validation_loss": 0.5},
        {"step": 20.0, "loss": 0.1, "validation_loss": 0.8},
    ]
    trained = {**TRAINED, "rows_dropped": 3, "rows_equal": 2}
    warning = "The test split differs from training in the slice channel: chat is 9% of test."
    untrained = {"intent": {"lost_parcel": 2, "d": 1}, "other": {"e": 9}}
    prepared = {"unlearnt_labels": untrained, "warnings": [warning]}
    assert verdict.list_concerns(results, log, trained, prepared) == [
        "Tuning makes intent accuracy worse: 80.0% before, 70.0% after.",
        "Quantization makes intent accuracy worse: 70.0% before, 50.0% after.",
        "Weakest slice: intent, phrasing unseen, with 40.0% accuracy on 40 records, "
        "compared with 70.0% overall.",
        warning,
        "In no training record of intent: lost parcel, d.",
        "Never predicted correctly in intent: c.",
        "6 of 100 answers of intent were truncated at predict.max_new_tokens before the model "
        "ended them.",
        "Validation loss rises from 0.500 at step 10 to 0.800 at the end: "
        "fewer epochs may do better.",
        "3 of 100 training rows were dropped as too long.",
        "2 of 100 training rows were dropped, since truncation made their two answers equal.",
    ]


def test_a_sentence_names_six_labels_at_most() -> None:
    untrained = {"intent": {f"label_{letter}": 1 for letter in "abcdefgh"}}
    prepared = {**PREPARED, "unlearnt_labels": untrained}
    assert verdict.list_concerns(make_results((0.1, 1, 1)), [], TRAINED, prepared) == [
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


def test_a_slice_of_few_records_is_not_called_weak() -> None:
    parts = {"odd": {"records": 9, "accuracy": 0.0}, "even": {"records": 91, "accuracy": 0.99}}
    results = make_results((0.1, 0.9, 0.9), slices={"phrasing": parts})
    assert verdict.find_weakest_slice(verdict.list_slices(results)) is None


def test_slices_hold_a_part_of_a_suite_and_are_in_the_order_of_their_numbers() -> None:
    bands = {name: {"records": 50, "accuracy": 0.9} for name in ("1-16", "129-256", "17-128")}
    whole = {"a.csv": {"records": 100, "accuracy": 0.9}}
    results = make_results((0.1, 0.9, 0.9), slices={"length": bands, "source": whole})
    slices = [(row.name, row.value) for row in verdict.list_slices(results)]
    assert slices == [("length", "1-16"), ("length", "17-128"), ("length", "129-256")]


def test_few_shot_suites_have_no_slices_of_their_own() -> None:
    parts = {"en": {"records": 50, "accuracy": 0.5}, "zh": {"records": 50, "accuracy": 0.9}}
    results = make_results((0.1, 0.9, 0.9), slices={"language": parts})
    for variant in results.variants.values():
        variant["intent-4-shot"] = variant["intent"]
    assert {row.task for row in verdict.list_slices(results)} == {"intent", "intent-4-shot"}
    results.details["few_shot"]["intent-4-shot"] = {}
    assert {row.task for row in verdict.list_slices(results)} == {"intent"}


def test_a_slice_in_which_the_base_has_no_metric_is_still_shown() -> None:
    results = make_results((0.1, 0.9, 0.9))
    for variant, accuracy in (("base", None), ("merged", 0.5), ("quantized", 0.4)):
        part = {"records": 20} if accuracy is None else {"records": 20, "accuracy": accuracy}
        results.variants[variant]["intent"]["slices"] = {"language": {"en": part}}
    (row,) = verdict.list_slices(results)
    assert (row.values, row.merged) == ([None, 0.5, 0.4], 0.5)
    results.variants["merged"]["intent"]["slices"] = {"language": {"en": {"records": 20}}}
    assert verdict.list_slices(results) == []
