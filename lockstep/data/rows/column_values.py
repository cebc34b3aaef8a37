"""Values in the columns of a row: nested paths, and values written as text."""

import json
import math
import re
import unicodedata
from datetime import date
from decimal import Decimal
from typing import Any

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError

MISSING: Any = object()
"""Stands for the value of a column that a row does not have."""

_INDEX = re.compile(r"-?[0-9]+")


def find_value(row: dict[str, Any], path: str) -> Any:
    """Return the value of a column, or of a path into a column; MISSING if there is none.

    `answers.text.0` is the first element of the list `text` in the object `answers`. A column
    whose name is the whole path wins. JSON in a cell of a table is parsed.
    """
    if path in row:
        return row[path]
    root, *parts = path.split(".")
    value = row.get(root, MISSING)
    for part in parts:
        value = _enter(value, part)
    return value


def write_text(value: Any) -> str | None:
    """Return a text, number, truth value or date as text; None for any other value.

    Whole numbers have no decimal point: a table that has gaps stores them as 3.0.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, int | Decimal) else None


def write_any_text(value: Any) -> str | None:
    """Return a value as text, lists and objects as JSON; None if there is no value."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=write_text)
    return write_text(value)


def normalize_name(text: str) -> str:
    """Return a name without outer blanks, with single spaces, and with composed characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def _enter(value: Any, part: str) -> Any:
    """Return a member of an object, or an element of a list."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = strict_json.parse(value)
        except InvalidRowError:
            return MISSING
    if isinstance(value, dict):
        return value.get(part, MISSING)
    if isinstance(value, list) and _INDEX.fullmatch(part):
        index = int(part)
        return value[index] if -len(value) <= index < len(value) else MISSING
    return MISSING
