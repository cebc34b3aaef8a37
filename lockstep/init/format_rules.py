"""The columns by which each row format is recognized."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from lockstep.data.label_studio import export_reading
from lockstep.data.rows.column_hints import find_flag_columns
from lockstep.data.rows.column_names import SYNONYMS
from lockstep.init.chat_columns import match_chat_texts, match_turns
from lockstep.init.span_columns import match_spans

MAX_DEPTH = 3
"""Maximum depth of values inside lists and objects that are inspected."""
MAX_LABELS = 200
"""Maximum number of different texts in a column of labels."""

Row = dict[str, Any]


def parse_row(row: Any) -> Any:
    """Return the value of a row; None if it is not JSON."""
    if not isinstance(row, str):
        return row
    try:
        return json.loads(row)
    except ValueError:
        return None


def add_nested_columns(row: Row, depth: int = 0) -> Row:
    """Return a row with the members of its objects and the first elements of its lists.

    Their names are paths such as `answers.text.0`. Turns of a conversation are no columns.
    """
    nested = dict(row)
    for name, value in row.items():
        if isinstance(value, list) and value and not _is_turn(value[0]):
            value = {"0": value[0]}
        if isinstance(value, dict) and depth < MAX_DEPTH:
            inner = add_nested_columns(value, depth + 1)
            nested |= {f"{name}.{part}": child for part, child in inner.items()}
    return nested


def _list_names(column: str) -> list[str]:
    """Return the names by which a column is found: its own, or those on a path, the last first."""
    parts = [part for part in column.lower().split(".") if not part.isdigit()]
    names = [column.lower(), *reversed(parts)]
    return [*names, *(name.removesuffix("s") for name in parts)] if "." in column else names


def _find_column(rows: Sequence[Row], field: str, accepts: Callable[[Any], bool]) -> str | None:
    """Return the first column named like a field whose values are all acceptable or missing."""
    columns: dict[str, list[str]] = {}
    for column in dict.fromkeys(column for row in rows for column in row):
        for name in dict.fromkeys(_list_names(column)):
            columns.setdefault(name, []).append(column)
    for name in SYNONYMS[field]:
        for column in columns.get(name, ()):
            values = [row[column] for row in rows if row.get(column) not in (None, "")]
            if values and sum(map(accepts, values)) >= 0.98 * len(values):
                return column
    return None


def _find_columns(rows: Sequence[Row], **fields: Callable[[Any], bool]) -> dict[str, str] | None:
    """Return {field: column} if every field has a different column, otherwise None."""
    columns: dict[str, str] = {}
    for field, accepts in fields.items():
        column = _find_column(rows, field, accepts)
        if column is None or column in columns.values():
            return None
        columns[field] = column
    return columns


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_turns(value: Any) -> bool:
    return isinstance(value, str) or _is_turn(value) or _is_turn_list(value)


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and bool({"role", "from", "speaker"} & value.keys())


def _is_turn_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) for turn in value)


def _is_label(value: Any) -> bool:
    """Whether a value may be a label: a text, a whole number or a truth value."""
    return isinstance(value, str | int) or (isinstance(value, float) and value.is_integer())


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or str(value).strip().lower() in ("true", "false")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_label_list(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("["):
        value = parse_row(value)
    return isinstance(value, list) and all(isinstance(label, str | int) for label in value)


def _match_preference(rows: Sequence[Row]) -> dict[str, str] | None:
    """Return the columns of a pair of answers; without a prompt, both must be conversations."""
    pair = _find_columns(rows, chosen=_is_text_or_turns, rejected=_is_text_or_turns)
    if pair is None:
        return None
    prompt = _find_column(rows, "prompt", _is_text_or_turns)
    prompt = prompt or _find_column(rows, "conversations", _is_turn_list)
    if prompt:
        return {"prompt": prompt, **pair}
    answers = [row[pair["chosen"]] for row in rows if row.get(pair["chosen"])]
    return pair if all(isinstance(text, list) or "Assistant:" in text for text in answers) else None


def _match_unpaired_preference(rows: Sequence[Row]) -> dict[str, str] | None:
    label = _find_column(rows, "label", _is_boolean)
    if label is None:
        return None
    messages = _find_columns(rows, messages=_is_turn_list)
    texts = messages or _find_columns(rows, prompt=_is_text_or_turns, completion=_is_text_or_turns)
    return None if texts is None else {**texts, "label": label}


def _match_conversation(rows: Sequence[Row], field: str) -> dict[str, str] | None:
    """Return the column of conversations; None if other columns hold a preference pair."""
    if any(_find_column(rows, name, lambda value: True) for name in ("chosen", "rejected")):
        return None
    return _find_columns(rows, **{field: _is_turn_list})


def _match_classification(rows: Sequence[Row]) -> dict[str, str] | None:
    columns = _find_columns(rows, text=_is_text, label=_is_label)
    return columns if columns and _has_few_values(rows, columns["label"]) else None


def _match_regression(rows: Sequence[Row]) -> dict[str, str] | None:
    """Return the columns of a number to predict; whole numbers of a few kinds are labels."""
    columns = _find_columns(rows, text=_is_text, value=_is_number)
    if columns is None or columns["value"].lower() not in SYNONYMS["label"]:
        return columns
    is_coded = all(_is_label(row.get(columns["value"], 0)) for row in rows)
    return None if is_coded and _has_few_values(rows, columns["value"]) else columns


def _has_few_values(rows: Sequence[Row], column: str) -> bool:
    values = {str(row.get(column)) for row in rows}
    return len(values) <= min(MAX_LABELS, max(2, len(rows) // 2))


def _match_flags(rows: Sequence[Row]) -> dict[str, str] | None:
    """Return the column of a text beside columns of 0 and 1, which `find_flag_columns` names."""
    columns = _find_columns(rows, text=_is_text)
    return columns if columns and find_flag_columns(rows, columns.values()) else None


def _match_alpaca(rows: Sequence[Row]) -> dict[str, str] | None:
    columns = _find_columns(rows, instruction=_is_text, output=_is_text)
    context = _find_column(rows, "input", _is_text)
    return {**columns, "input": context} if columns and context else columns


FORMATS: tuple[tuple[str, Callable[[Sequence[Row]], dict[str, str] | None]], ...] = (
    ("label_studio", export_reading.guess_columns),
    ("spans", match_spans),
    ("preference", _match_preference),
    ("unpaired_preference", _match_unpaired_preference),
    ("messages", lambda rows: _match_conversation(rows, "messages")),
    ("sharegpt", lambda rows: _match_conversation(rows, "conversations")),
    ("alpaca", _match_alpaca),
    ("multi_label", lambda rows: _find_columns(rows, text=_is_text, labels=_is_label_list)),
    ("regression", _match_regression),
    ("classification", _match_classification),
    ("turns", match_turns),
    (
        "prompt_completion",
        lambda rows: _find_columns(rows, prompt=_is_text_or_turns, completion=_is_text_or_turns),
    ),
    ("messages", match_chat_texts),
    ("multi_label", _match_flags),
    ("text", lambda rows: _find_columns(rows, plain_text=_is_text)),
)
"""Format and function that returns its columns, or None if it does not fit; the first fit counts.
"""
