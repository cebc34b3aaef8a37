"""Checks of the section `augment`."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("methods.0.tasks", ["intend"], "augment.methods: no source has task intend; known: beh"),
        (
            "methods.1.slices", {"lang": ["zh"]},
            "augment.methods: no source has the slice lang; known: behaviour, ",
        ),
        (
            "mix", [{"slice": "lang", "shares": {"zh": 0.5, "en": 0.5}}],
            "augment.mix: no source has the slice lang; known: behaviour, ",
        ),
    ],
)  # fmt: skip
def test_names_must_be_those_of_the_sources(
    find_mistakes: Callable[[dict[str, Any]], list[str]], key: str, value: Any, line: str
) -> None:
    (mistake,) = find_mistakes({f"augment.{key}": value})
    assert mistake.startswith(line)


def test_the_mix_may_name_the_task(
    find_mistakes: Callable[[dict[str, Any]], list[str]],
) -> None:
    shares = {"intent": 0.5, "slots": 0.5}
    assert find_mistakes({"augment.mix": [{"slice": "task", "shares": shares}]}) == []
