"""GRPO's rewards: a number from 0 to 1 for each answer that was written."""

import json
from collections.abc import Callable, Sequence
from typing import Any

Reward = Callable[..., list[float | None]]


def exact_match(
    completions: Sequence[str], reference: Sequence[str], **rest: Any
) -> list[float | None]:
    """1 for the expected answer, but for space around it."""
    return [float(a.strip() == b.strip()) for a, b in zip(completions, reference, strict=True)]


def json_validity(completions: Sequence[str], **rest: Any) -> list[float | None]:
    """1 for JSON."""
    return [float(_parses(answer)) for answer in completions]


def length(completions: Sequence[str], reference: Sequence[str], **rest: Any) -> list[float | None]:
    """1 for an answer no longer than the expected one, 0 for one twice as long, by characters."""
    return [
        min(1.0, max(0.0, 2 - len(answer) / max(1, len(want))))
        for answer, want in zip(completions, reference, strict=True)
    ]


FUNCTIONS: dict[str, Reward] = {
    "exact_match": exact_match,
    "json": json_validity,
    "length": length,
}


def _parses(answer: str) -> bool:
    try:
        json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return True
