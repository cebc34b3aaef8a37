"""Preferences in which a column says which of two answers is the better one.

PKU-SafeRLHF has `response_0`, `response_1` and `better_response_id`, SHP `human_ref_A`,
`human_ref_B` and `labels`, Chatbot Arena `conversation_a`, `conversation_b` and `winner`.
"""

from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import column_values, row_fields
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source

_TIES = ("tie", "both", "both_bad", "both bad", "bothbad", "neither", "equal", "same", "draw")
_NAMES = ("{}", "model_{}", "answer_{}", "response_{}", "assistant_{}", "conversation_{}")
"""Spellings of the better answer, whatever the columns are called."""


def read_better_and_worse(row: Row, source: Source) -> tuple[Any, Any]:
    """Return the better and the worse one of the answers in a row.

    Raise InvalidRowError if none is better, or if it is unclear which one is.
    """
    answers = {
        side: row_fields.get_required_field(row, source, f"answer_{side}") for side in ("a", "b")
    }
    value = row_fields.get_required_field(row, source, "winner")
    winner = _find_winner(value, source)
    if winner == "tie":
        column = source.get_column("winner")
        raise InvalidRowError(
            "no_better_answer",
            detail=f"{column} is {show_value(value)}; leave such rows out by where: {column} != "
            f"{show_value(value)}",
        )
    if winner not in answers:
        raise InvalidRowError(
            "unclear_winner",
            detail=f"{source.get_column('winner')} is {show_value(value)}; say which answer that "
            "is: label_names: {1: a, 0: b}",
        )
    return answers[winner], answers["b" if winner == "a" else "a"]


def _find_winner(value: Any, source: Source) -> str | None:
    """Return a, b or tie; None if the value says none of them.

    The end in which the names of the columns differ, as in response_0 and response_1, counts as a
    name of the answer.
    """
    code = (column_values.write_text(value) or "").strip()
    if source.label_names:
        return source.label_names.get(code)
    name = code.lower()
    if name in _TIES or name.startswith("tie "):
        return "tie"
    columns = [source.get_column(f"answer_{side}").lower() for side in ("a", "b")]
    letters = enumerate(zip(*columns, strict=False))
    start = next((i for i, (one, other) in letters if one != other), min(map(len, columns)))
    for side, column in zip(("a", "b"), columns, strict=True):
        if name and name in (column, column[start:]):
            return side
    return next((s for s in ("a", "b") if name in [text.format(s) for text in _NAMES]), None)
