"""Fields of a row: there, of the right kind, and free of what no text may hold."""

import re
from typing import Any

from lockstep.data import strict_json
from lockstep.data.rejection import UnfitError
from lockstep.data.sources import Source

Row = dict[str, Any]

CONTROL_TOKEN = re.compile(r"<\|[A-Za-z0-9_]+\|>|\[/?INST\]|</?s>")
"""Spellings that chat templates use for turns: inside data they would forge one."""


def optional(row: Row, source: Source, name: str) -> Any:
    """An optional field: the column that the source names must be there, any other may lack."""
    column = source.column(name)
    if name in source.columns and column not in row:
        raise UnfitError(f"missing_{name}")
    return row.get(column)


def needed(row: Row, source: Source, name: str) -> Any:
    """A field that must be there and not null."""
    column = source.column(name)
    if row.get(column) is None:
        raise UnfitError(f"missing_{name}" if column not in row else f"{name}_is_null")
    return row[column]


def text(row: Row, source: Source, name: str) -> str:
    """A field that must be a text and say something."""
    return checked(needed(row, source, name), name)


def checked(value: Any, name: str) -> str:
    """The value, if it is a text that says something."""
    if not isinstance(value, str):
        raise UnfitError(f"{name}_is_null" if value is None else f"{name}_not_text")
    if not value.strip():
        raise UnfitError(f"empty_{name}")
    return encodable(value)


def word(row: Row, source: Source, name: str) -> str:
    """What a row says of itself in the column that the source names for it; "" for no column."""
    if name not in source.columns:
        return ""
    value = slice_value(row, source.columns[name])
    if not value:
        raise UnfitError(f"empty_{name}")
    return value


def slice_value(row: Row, column: str) -> str:
    """A text or whole number by which figures are broken down."""
    value = row.get(column)
    if value is None:
        raise UnfitError(f"missing_{column}")
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise UnfitError(f"{column}_not_text")
    return encodable(str(value))


def encodable(value: str) -> str:
    """The text, if UTF-8 and every reader can hold it: without NUL and lone surrogates."""
    if "\0" in value:
        raise UnfitError("nul_character")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise UnfitError("lone_surrogate") from None
    return value


def check_texts(value: Any) -> None:
    """Refuse a control token, NUL or lone surrogate in any text of a JSON value."""
    if isinstance(value, str) and CONTROL_TOKEN.search(encodable(value)):
        raise UnfitError("control_token")
    if isinstance(value, dict):
        check_texts([*value, *value.values()])
    elif isinstance(value, list):
        for part in value:
            check_texts(part)


def parsed(text: str, name: str) -> Any:
    """The JSON value in a text."""
    try:
        return strict_json.parse(text)
    except UnfitError:
        raise UnfitError(f"{name}_not_json") from None
