"""Checks of slices, gates and the report's slices."""

from collections.abc import Callable
from typing import Any

Check = Callable[[dict[str, Any]], list[str]]

GATE = {
    "suite": "slots", "metric": "slot_f1", "variant": "merged", "against": "nothing",
    "direction": "at_least", "threshold": 0.0, "certainty": "figure",
}  # fmt: skip


def test_a_slice_must_be_one_of_a_source_or_of_the_pipeline(check: Check) -> None:
    changes = {"evaluate.slices": ["fraseing", "language", "source", "length"], "report.slices": []}
    (line,) = check(changes)
    assert line.startswith("evaluate.slices: no source has the slice fraseing; known: behaviour, ")


def test_depth_is_a_slice_of_retrieval_alone(check: Check) -> None:
    assert check({"evaluate.slices": ["depth"], "report.slices": []}) == []
    (line,) = check(
        {"evaluate.slices": ["depth"], "report.slices": [], "evaluate.retrieval.lengths": []}
    )
    assert line.startswith("evaluate.slices: no source has the slice depth; known: ")


def test_a_gate_must_be_on_a_metric_of_a_suite(check: Check) -> None:
    assert check({"evaluate.gates": [GATE]}) == []
    (line,) = check({"evaluate.gates": [{**GATE, "suite": "slot"}]})
    assert line.startswith("evaluate.gates: no suite slot; known: behaviour, intent, ")
    (line,) = check({"evaluate.gates": [{**GATE, "metric": "bleu"}]})
    assert line.startswith("evaluate.gates: suite slots has no metric bleu; known: exact_match, ")


def test_perplexity_is_a_suite_of_its_own(check: Check) -> None:
    assert (
        check({"evaluate.gates": [{**GATE, "suite": "perplexity", "metric": "perplexity"}]}) == []
    )


def test_the_report_s_slices_must_be_evaluated(check: Check) -> None:
    (line,) = check({"report.slices": ["domain"]})
    assert line.startswith("report.slices: domain is not in evaluate.slices; known: behaviour, ")
