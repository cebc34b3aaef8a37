"""Checks of the section `prepare`."""

from collections.abc import Callable
from typing import Any

Check = Callable[[dict[str, Any]], list[str]]


def test_a_stratum_must_be_a_slice_of_a_source(check: Check) -> None:
    (line,) = check({"prepare.split.by": ["task", "answer", "tusk", "language"]})
    assert line.startswith(
        "prepare.split.by: no source has the slice tusk; known: answer, behaviour, "
    )


def test_a_source_of_rules_must_not_be_trained_on(check: Check) -> None:
    suites = [
        {"task": "slots", "answer": "rules", "metrics": ["all_followed"]},
        {"task": "behaviour", "answer": "rules", "metrics": ["all_followed"]},
        {"task": "reply", "answer": "text", "metrics": ["rouge_l"]},
    ]
    changes = {"evaluate.suites": suites, "evaluate.gates": [], "evaluate.stability.tasks": []}
    assert check(changes) == [
        "prepare.sources: slots.jsonl: the answers of task slots are rules for scoring and must "
        "not be trained on; set its split to test"
    ]
    assert check({**changes, "prepare.sources.3.split": "test"}) == []
