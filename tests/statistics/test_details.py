"""reports/details.json: changes, per-class metrics, weakest slices, and the complete file."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from lockstep.metrics.registry import METRICS
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import PARENT, PERTURBATION, SPLIT, VARIANTS, Prediction
from lockstep.statistics import details
from lockstep.statistics.details import compute_class_metrics, count_changes, find_weakest_slices
from lockstep.statistics.examples import ComparedRecord
from lockstep.statistics.gates import Gate

LABELS = st.sampled_from("abcd")


def make_record(**scores: float) -> ComparedRecord:
    """Return a record with the score of each variant's answer."""
    answers = dict.fromkeys(scores, "?")
    return ComparedRecord(
        id="0", slices={}, question="?", reference="?", predictions=answers, scores=scores
    )


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_class_metrics_equal_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    confusion: dict[str, dict[str, int]] = {}
    for reference, prediction in pairs:
        row = confusion.setdefault(reference, {})
        row[prediction] = row.get(prediction, 0) + 1
    result = compute_class_metrics(confusion)
    references, predictions = zip(*pairs, strict=True)
    expected = precision_recall_fscore_support(
        references, predictions, labels=sorted(result), zero_division=0
    )
    for (_, values), *columns in zip(sorted(result.items()), *expected, strict=True):
        actual = [values[name] for name in ("precision", "recall", "f1", "records")]
        assert actual == pytest.approx(columns)


def test_a_class_has_intervals_where_its_denominators_are_not_zero() -> None:
    result = compute_class_metrics({"a": {"a": 81, "b": 182}, "b": {"a": 1}})
    # Newcombe (1998), table I, method 3: 81 of 263
    assert result["a"]["intervals"]["recall"] == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert set(result["b"]["intervals"]) == {"precision", "recall"}
    assert set(compute_class_metrics({"a": {"b": 1}})["a"]["intervals"]) == {"recall"}


def test_changes_count_records_whose_score_rises_or_falls() -> None:
    records = [
        make_record(base=0, merged=1),
        make_record(base=1, merged=0),
        make_record(base=0, merged=0),
        make_record(base=0.25, merged=0.5),
    ]
    assert count_changes(records, "base", "merged") == {"better": 2, "worse": 1}


def test_the_weakest_slice_of_a_metric_has_enough_records() -> None:
    slices = {
        "language": {
            "en": {"records": 40, "accuracy": 0.9, "calibration_error": 0.2},
            "zh": {"records": 9, "accuracy": 0.1},
        },
        "phrasing": {"seen": {"records": 30, "accuracy": 0.8, "calibration_error": 0.1}},
        "source": {"all.csv": {"records": 50, "accuracy": 0.7, "calibration_error": 0.3}},
    }
    overall = {"accuracy": 0.7, "calibration_error": 0.3}
    assert find_weakest_slices({"records": 50, "overall": overall, "slices": slices}) == {
        "accuracy": {"slice": "phrasing seen", "metric": 0.8, "records": 30},
        "calibration_error": {"slice": "language en", "metric": 0.2, "records": 40},
    }


def test_suites_with_labels_come_first() -> None:
    variant = {"a": {"overall": {}}, "perplexity": 2.0, "z": {"overall": {}, "confusion": {}}}
    assert list(details.get_suites(variant)) == ["z", "a"]


def make_predictions(right: int, **slices: str) -> list[Prediction]:
    """Return 20 predictions of labels, the first `right` of them correct."""
    return [
        Prediction(
            id=f"{number:02}{''.join(slices.values())}", task="intent", question="?", prompt="",
            reference="ab"[number % 2], prediction="ab"[(number + (number >= right)) % 2],
            answer_form="choice", option_scores={"a": 0.0, "b": -1.0}, loss=1.0, tokens=2,
            slices={"language": "en" if number < 12 else "zh", **slices},
        )
        for number in range(20)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def all_details() -> Mapping[str, Any]:
    """Details of three variants: tuning repairs one answer, and quantization breaks one."""
    predictions = {"base": make_predictions(8), "merged": make_predictions(19)}
    predictions["quantized"] = make_predictions(16)
    perturbed = [
        row
        for number in (0, 1)
        for row in make_predictions(20, **{PARENT: f"{number:02}", PERTURBATION: f"kind {number}"})[
            number : number + 1
        ]
    ]
    splits = [
        *make_predictions(20, **{SPLIT: "train"}),
        *make_predictions(10, **{SPLIT: "validation"}),
    ]
    names = ("accuracy", "macro_f1")
    suite = MeasuredSuite(
        task="intent", form="choice", metrics={name: METRICS["choice"][name] for name in names}
    )
    gate = {
        "suite": "intent", "metric": "accuracy", "variant": "merged", "direction": "at_least",
        "threshold": 0.96,
    }  # fmt: skip
    return details.assemble_details(
        predictions,
        {"base": [], "quantized": [], "merged": perturbed},
        {"base": [], "quantized": [], "merged": splits},
        {
            "base": {"suites": {}, "tasks": {}},
            "quantized": {"suites": {}, "tasks": {}},
            "merged": {"suites": {"intent": 0.5}, "tasks": {"mmlu": {"acc": 0.25}}},
        },
        [suite],
        ["language"],
        [Gate.model_validate(gate), Gate.model_validate({**gate, "against": "previous"})],
        3,
        7,
        {},
    )


def test_the_details_are_json_with_a_part_for_each_question(all_details: Mapping[str, Any]) -> None:
    json.dumps(all_details, allow_nan=False)
    assert set(all_details) == {
        *VARIANTS, "lm_eval", "differences", "changes", "gates", "split_gaps", "examples", "suites",
    }  # fmt: skip


def test_a_variant_has_its_metrics_with_intervals_by_slice(all_details: Mapping[str, Any]) -> None:
    suite = all_details["merged"]["intent"]
    assert suite["overall"]["accuracy"] == 19 / 20
    low, high = suite["intervals"]["accuracy"]
    assert low < 19 / 20 < high
    assert suite["slices"]["language"]["zh"]["accuracy"] == 7 / 8
    assert set(suite["slices"]["language"]["zh"]["intervals"]) == {"accuracy", "macro_f1"}
    assert suite["classes"]["a"]["recall"] == 1
    assert suite["weakest"]["accuracy"] == {"slice": "language en", "metric": 1, "records": 12}
    assert set(all_details["merged"]["intervals"]) == {"perplexity", "bits_per_byte"}


def test_robustness_lm_eval_and_split_gaps_belong_to_the_variant_that_has_them(
    all_details: Mapping[str, Any],
) -> None:
    assert set(all_details["merged"]["intent"]["robustness"]) == {"overall", "kind 0", "kind 1"}
    assert "robustness" not in all_details["base"]["intent"]
    assert all_details["merged"]["intent"]["overall"]["lm_eval_accuracy"] == 0.5
    assert all_details["lm_eval"] == {
        "base": {},
        "merged": {"mmlu": {"acc": 0.25}},
        "quantized": {},
    }
    assert all_details["split_gaps"]["base"] == {}
    assert all_details["split_gaps"]["merged"]["intent"]["accuracy"]["gap"] == 0.5


def test_differences_between_variants_are_corrected_together(
    all_details: Mapping[str, Any],
) -> None:
    tuning = all_details["differences"]["tuning"]["intent"]["accuracy"]
    assert tuning["difference"] == pytest.approx(11 / 20)
    assert 0 < tuning["p"] < tuning["p_adjusted"] < 0.05
    assert all_details["differences"]["quantization"]["intent"]["accuracy"]["p_adjusted"] > 0.05
    assert all_details["changes"]["intent"] == {
        "tuning": {"better": 11, "worse": 0},
        "quantization": {"better": 0, "worse": 3},
    }


def test_a_gate_against_the_previous_commit_is_not_decided(all_details: Mapping[str, Any]) -> None:
    gate, previous = all_details["gates"]
    assert (gate["decided"], gate["passed"], gate["value"]) == (True, False, 19 / 20)
    assert len(gate["interval"]) == 2
    assert previous == {"gate": previous["gate"], "decided": False}
    assert previous["gate"]["against"] == "previous"


def test_the_number_of_examples_follows_the_params(all_details: Mapping[str, Any]) -> None:
    assert len(all_details["examples"]["intent"]) == 3
    assert all_details["suites"]["intent"] == {
        "form": "choice", "graded": False, "longest_reference": 1, "tokenizers": {},
    }  # fmt: skip
