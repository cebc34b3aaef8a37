"""Checks of the section `judge`."""

from collections.abc import Callable
from typing import Any

Check = Callable[[dict[str, Any]], list[str]]


def test_a_judged_suite_must_have_text_answers(check: Check) -> None:
    changes = {
        "judge.by": "endpoint", "judge.endpoint.model": "judge", "judge.suites": ["slots", "reply"],
    }  # fmt: skip
    assert check(changes) == ["judge.suites: no suite slots with text answers; known: reply"]


def test_nobody_s_suites_are_not_checked(check: Check) -> None:
    assert check({"judge.by": "none", "judge.suites": ["slots"]}) == []
