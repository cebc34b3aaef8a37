"""The verdict: the decision and the headline."""

from dataclasses import replace
from typing import Any

import pytest

from lockstep.reporting import verdict
from lockstep.statistics.gates import Gate, GateOutcome
from tests.reporting.results import make_differences, make_results

NF4 = {"method": "nf4", "bytes_before": 1000, "bytes_after": 380}


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


def test_the_decision_follows_the_gates_before_the_metrics() -> None:
    results = make_results((0.1, 0.95, 0.94))
    gate = Gate(
        suite="intent", metric="accuracy", variant="merged", against="nothing",
        direction="at_least", threshold=0.99, certainty="measured",
    )  # fmt: skip
    results.gates.append((gate, GateOutcome(gate, 0.95, None)))
    decision = verdict.decide(results)
    assert (decision.title, decision.reason) == ("Do not ship", "1 of 1 gates failed.")
    results.gates[0] = (gate, GateOutcome(gate, 0.995, None))
    decision = verdict.decide(results)
    assert (decision.title, decision.title.zh) == ("Ship", "可以上线")
    assert decision.reason.endswith("by more than chance explains, and every gate is met.")


@pytest.mark.parametrize(
    ("p", "change", "title", "judgement"),
    [
        (0.001, 0.004, "Ship", "better"),  # less than a tenth of a point is a change too
        (0.2, 0.1, "No difference shown", "same"),
        (0.001, -0.1, "Do not ship", "worse"),
    ],
)
def test_the_decision_follows_the_test_of_the_main_metric(
    p: float, change: float, title: str, judgement: str
) -> None:
    differences = make_differences(p)
    accuracy = differences["tuning"]["intent"]["accuracy"]
    differences["tuning"]["intent"]["accuracy"] = replace(accuracy, value=change)
    decision = verdict.decide(make_results((0.5, 0.5 + change, 0.5), differences))
    assert (decision.title, decision.judgement) == (title, judgement)


def test_a_rise_of_perplexity_is_worse_and_an_untested_change_shows_nothing() -> None:
    results = make_results((None, None, None))
    results.variants["merged"]["intent"]["overall"] = {}
    assert verdict.decide(results).title == "No difference shown"
    accuracy = results.differences["tuning"]["intent"]["accuracy"]
    results.differences["tuning"]["perplexity"] = {"perplexity": accuracy}  # rises by 0.1
    decision = verdict.decide(results)
    assert (decision.title, decision.reason.zh) == ("Do not ship", "微调使困惑度变差，且并非偶然。")
