"""Checks of the section `prepare`."""

from collections.abc import Callable
from typing import Any

FindMistakes = Callable[[dict[str, Any]], list[str]]


def test_a_stratum_must_be_a_slice_of_a_source(find_mistakes: FindMistakes) -> None:
    (line,) = find_mistakes({"prepare.split.by": ["task", "answer", "tusk", "language"]})
    assert line.startswith(
        "prepare.split.by: no source has the slice tusk; known: answer, behaviour, "
    )


def test_a_source_of_rules_must_not_be_trained_on(find_mistakes: FindMistakes) -> None:
    line = (
        "prepare.sources: slots.jsonl: the answers of task slots are rules for scoring and must "
        "not be trained on; set its split to test"
    )
    assert find_mistakes({"prepare.sources.4.answer": "rules"}) == [line]
    assert (
        find_mistakes({"prepare.sources.4.answer": "rules", "prepare.sources.4.split": "test"})
        == []
    )


def test_a_benchmark_must_not_be_trained_on(find_mistakes: FindMistakes) -> None:
    (line,) = find_mistakes({"prepare.sources.4.format": "ifeval"})
    assert line.startswith("prepare.sources: slots.jsonl: the answers of task slots are rules")
    changes = {"prepare.sources.4.format": "ifeval", "prepare.sources.4.split": "test"}
    assert find_mistakes(changes) == []


def test_a_source_must_not_be_trained_on_if_its_suite_has_rules(
    find_mistakes: FindMistakes,
) -> None:
    suites = [{"task": "slots", "answer": "rules"}, {"task": "reply", "answer": "text"}]
    (line,) = find_mistakes({"predict.suites": suites})
    assert line.startswith("prepare.sources: slots.jsonl: the answers of task slots are rules")
