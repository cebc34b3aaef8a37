"""Checks of the section `evaluate`: metrics, slices and gates."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep import params
from lockstep.cli.checks import check_evaluate
from lockstep.cli.checks.source_names import SourceNames
from tests.conftest import REPOSITORY, change_params
from tests.data.examples import make_source

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


def test_a_misspelt_slice_of_the_domains_is_found_before_the_run(
    find_mistakes: FindMistakes,
) -> None:
    domains = {"slice": "domian", "out": ["near"]}
    assert find_mistakes({"evaluate.domains": domains}) == [
        "evaluate.domains: no source has the slice domian; did you mean domain?"
    ]
    for name in ("domain", "source"):
        assert find_mistakes({"evaluate.domains": domains | {"slice": name}}) == []


def test_the_domains_of_the_sample_do_not_stand_in_the_way_of_other_data(
    find_mistakes: FindMistakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = {"slice": "season", "out": ["winter"]}
    assert find_mistakes({"evaluate.domains": domains}) == []
    values = change_params(params.parse(REPOSITORY / "params.yaml"), {"evaluate.domains": domains})
    (tmp_path / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert check_evaluate.list_notes({"intent": {"slices": ["season"]}}) == []
    assert check_evaluate.list_notes({"intent": {"slices": ["phrasing"]}}) == [
        "evaluate.domains: no record has the slice season, so evaluate will compare no domains; "
        "correct or remove it"
    ]


def test_the_reason_of_a_preference_is_a_slice() -> None:
    """The row format adds it, so no source lists it."""
    assert SourceNames([make_source("preference", slices=["a"])]).slices == {"a", "reject_reason"}
    assert SourceNames([make_source("messages")]).slices == set()
