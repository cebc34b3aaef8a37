"""Checks of the section `judge`."""

from collections.abc import Callable
from typing import Any

FindMistakes = Callable[[dict[str, Any]], list[str]]

ENDPOINT = {"judge.by": "endpoint", "judge.endpoint.model": "judge"}
SUITES = [{"task": "slots", "answer": "json"}, {"task": "reply", "answer": "text"}]


def test_a_judged_suite_must_have_text_answers(find_mistakes: FindMistakes) -> None:
    changes = {**ENDPOINT, "judge.suites": ["slots", "reply"], "predict.suites": SUITES}
    assert find_mistakes(changes) == [
        "judge.suites: slots is no suite with free-text answers; known: reply"
    ]


def test_a_judged_suite_must_be_a_task_of_the_sources(find_mistakes: FindMistakes) -> None:
    """Without suites in params.yaml, the answer forms follow from the data."""
    (line,) = find_mistakes({**ENDPOINT, "judge.suites": ["replies", "reply"]})
    assert line.startswith("judge.suites: no source has task replies; known: behaviour, intent, ")


def test_suites_that_nobody_judges_are_not_checked(find_mistakes: FindMistakes) -> None:
    assert (
        find_mistakes({"judge.by": "none", "judge.suites": ["slots"], "predict.suites": SUITES})
        == []
    )
