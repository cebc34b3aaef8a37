"""Rewards of GRPO: functions that give each generated answer a number from 0 to 1."""

import json
from collections.abc import Callable, Sequence
from typing import Any

Reward = Callable[..., list[float | None]]
"""Reward function as TRL calls it, with `completions` and the columns of the rows."""


def exact_match(
    completions: Sequence[str], reference: Sequence[str], **columns: Any
) -> list[float | None]:
    """Return 1 for each answer that equals the reference, up to surrounding white space."""
    return [float(a.strip() == b.strip()) for a, b in zip(completions, reference, strict=True)]


def json_validity(completions: Sequence[str], **columns: Any) -> list[float | None]:
    """Return 1 for each answer that parses as JSON."""
    return [float(_is_json(answer)) for answer in completions]


def length(
    completions: Sequence[str], reference: Sequence[str], **columns: Any
) -> list[float | None]:
    """Return 1 for each answer with at most as many characters as the reference.

    The reward falls linearly to 0 for an answer with twice as many characters.
    """
    return [
        min(1.0, max(0.0, 2 - len(answer) / max(1, len(expected))))
        for answer, expected in zip(completions, reference, strict=True)
    ]


FUNCTIONS: dict[str, Reward] = {
    "exact_match": exact_match,
    "json": json_validity,
    "length": length,
}
"""Reward functions by their `kind` in params.yaml."""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
