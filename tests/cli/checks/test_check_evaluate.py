"""Checks of the section `evaluate`: metrics, slices and gates."""

from collections.abc import Callable
from typing import Any

import pytest

FindMistakes = Callable[[dict[str, Any]], list[str]]

GATE = {
    "suite": "slots", "metric": "field_f1", "variant": "merged", "direction": "at_least",
    "threshold": 0.0,
}  # fmt: skip
SUITES = [{"task": "slots", "answer": "json"}, {"task": "reply", "answer": "text"}]


def test_a_slice_must_be_one_of_a_source_or_of_the_pipeline(find_mistakes: FindMistakes) -> None:
    (line,) = find_mistakes({"evaluate.slices": ["fraseing", "language", "source", "length"]})
    assert line.startswith("evaluate.slices: no source has the slice fraseing; known: behaviour, ")


def test_a_slice_of_the_summary_may_be_absent(find_mistakes: FindMistakes) -> None:
    """The sample's value must not stand in the way of other data; evaluate says what is absent."""
    assert find_mistakes({"evaluate.summary_slices": ["fraseing"]}) == []


def test_depth_is_a_slice_of_retrieval_only(find_mistakes: FindMistakes) -> None:
    assert find_mistakes({"evaluate.slices": ["depth"]}) == []
    (line,) = find_mistakes({"evaluate.slices": ["depth"], "predict.retrieval": {"lengths": []}})
    assert line.startswith("evaluate.slices: no source has the slice depth; known: ")


@pytest.mark.parametrize(
    ("key", "value"), [("metrics", ["valid"]), ("json_schemas", {"type": "object"})]
)
def test_metrics_and_schemas_belong_to_a_suite(
    find_mistakes: FindMistakes, key: str, value: Any
) -> None:
    (line,) = find_mistakes({f"evaluate.{key}": {"slot": value}})
    assert line.startswith(f"evaluate.{key}: no suite slot; known: behaviour, ")
    (line,) = find_mistakes({f"evaluate.{key}": {"intent": value}, "predict.suites": SUITES})
    assert line == f"evaluate.{key}: no suite intent; known: reply, slots"


def test_a_metric_must_fit_the_answer_form(find_mistakes: FindMistakes) -> None:
    changes = {"predict.suites": SUITES, "evaluate.metrics": {"slots": ["bleu", "field_f1"]}}
    (line,) = find_mistakes(changes)
    assert line.startswith("evaluate.metrics: slots: json answers have no metric bleu; known: ")


def test_schema_valid_needs_a_schema(find_mistakes: FindMistakes) -> None:
    changes = {"predict.suites": SUITES, "evaluate.metrics": {"slots": ["schema_valid"]}}
    (line,) = find_mistakes(changes)
    assert line.startswith("evaluate.metrics: slots: json answers have no metric schema_valid")
    assert find_mistakes({**changes, "evaluate.json_schemas": {"slots": {"type": "object"}}}) == []


def test_a_gate_must_be_on_a_metric_of_a_suite(find_mistakes: FindMistakes) -> None:
    assert find_mistakes({"evaluate.gates": [GATE], "predict.suites": SUITES}) == []
    (line,) = find_mistakes({"evaluate.gates": [{**GATE, "suite": "slot"}]})
    assert line.startswith("evaluate.gates: no suite slot; known: behaviour, intent, ")
    (line,) = find_mistakes(
        {"evaluate.gates": [{**GATE, "metric": "bleu"}], "predict.suites": SUITES}
    )
    assert line.startswith("evaluate.gates: suite slots has no metric bleu; known: exact_match, ")


def test_a_gate_may_be_on_a_metric_that_evaluate_names(find_mistakes: FindMistakes) -> None:
    changes: dict[str, Any] = {
        "predict.suites": SUITES,
        "evaluate.metrics": {"slots": ["valid"]},
        "evaluate.gates": [{**GATE, "metric": "valid"}],
    }
    assert find_mistakes(changes) == []
    (line,) = find_mistakes({**changes, "evaluate.gates": [GATE]})
    assert line == "evaluate.gates: suite slots has no metric field_f1; known: valid"


def test_a_gate_on_a_size_needs_no_suite(find_mistakes: FindMistakes) -> None:
    gate = {**GATE, "suite": "quantize", "metric": "bytes", "variant": "quantized"}
    gate |= {"against": "nothing", "certainty": "measured"}
    assert find_mistakes({"evaluate.gates": [gate]}) == []
    (line,) = find_mistakes({"evaluate.gates": [{**gate, "metric": "size"}]})
    assert line == "evaluate.gates: suite quantize has no metric size; known: bytes, ratio"


def test_perplexity_is_a_suite_of_its_own(find_mistakes: FindMistakes) -> None:
    gate = {**GATE, "suite": "perplexity", "metric": "perplexity"}
    assert find_mistakes({"evaluate.gates": [gate]}) == []
    (line,) = find_mistakes({"evaluate.gates": [{**gate, "metric": "accuracy"}]})
    assert line.startswith("evaluate.gates: suite perplexity has no metric accuracy; known: ")


def test_metrics_and_gates_may_name_a_few_shot_suite(find_mistakes: FindMistakes) -> None:
    gate = {"suite": "intent-4-shot", "metric": "accuracy", "variant": "base",
            "direction": "at_least", "threshold": 0.5}  # fmt: skip
    changes = {"evaluate.metrics": {"intent-4-shot": ["accuracy"]}, "evaluate.gates": [gate]}
    assert len(find_mistakes(changes)) == 2
    assert find_mistakes({**changes, "predict.few_shot": [{"task": "intent", "shots": 4}]}) == []
