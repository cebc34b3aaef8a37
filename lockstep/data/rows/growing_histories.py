"""Conversations as a list of their answers, each with the history before it and candidates.

Persona-Chat has `{"candidates": […, "the answer"], "history": ["hi", …]}` for each answer. The last
candidate is the right one, which the next history repeats.
"""

from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields

HISTORY, CANDIDATES = "history", "candidates"
SILENCE = "SILENCE"
"""Mark in the first text if the assistant begins, so that there is no turn before it."""


def are_histories(turns: list[Any]) -> bool:
    """Whether some turns are answers with the history before each."""
    return bool(turns) and all(
        isinstance(turn, dict)
        and isinstance(turn.get(HISTORY), list)
        and isinstance(turn.get(CANDIDATES), list)
        for turn in turns
    )


def join_histories(turns: list[dict[str, Any]]) -> list[str]:
    """Return the texts of the whole conversation, the last answer included.

    Raise InvalidRowError if an earlier history or answer is not in it.
    """
    texts = _read_texts(turns[-1])
    for number, turn in enumerate(turns[:-1], 1):
        part = _read_texts(turn)
        if part != texts[: len(part)]:
            raise InvalidRowError(
                "histories_differ",
                detail=f"answer {number} is {show_value(part[-1])} after {len(part) - 1} turns, "
                "but the last history has something else",
            )
    return texts


def _read_texts(turn: dict[str, Any]) -> list[str]:
    """Return the history before an answer, and the answer: its last candidate."""
    texts = [*turn[HISTORY], *turn[CANDIDATES][-1:]]
    if len(texts) <= len(turn[HISTORY]):
        raise InvalidRowError("missing_candidates", detail="an answer has no candidate")
    return [row_fields.check_text(text, "content") for text in texts]
