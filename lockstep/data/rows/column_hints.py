"""Settings that make a file readable whose first rows lack a column, told from their values."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lockstep.data.rejected_rows import show_value
from lockstep.data.rows import column_values, label_flags, nested_replies
from lockstep.data.rows.row_fields import Row
from lockstep.data.source_formats import LABEL_FIELDS, LABEL_FORMATS
from lockstep.data.sources import Source

_PLAIN_NAME = re.compile(r"[^\W\d][\w .-]*")
"""Name that needs no quotes in YAML."""
_TURN_FIELDS = ("messages", "conversations")
"""Fields that hold all turns of a conversation."""


def suggest_settings(
    missing: Mapping[str, str], rows: Sequence[Row], source: Source
) -> dict[str, str]:
    """Return settings for missing columns, by their names; `missing` maps them to their fields."""
    columns = list_columns(rows)
    if are_numbers(columns):
        return _name_numbers(missing, rows, columns, source)
    settings: dict[str, str] = {}
    used = source.used_columns
    for column, field in missing.items():
        if field in LABEL_FIELDS and (names := find_flag_columns(rows, used)):
            settings[column] = f"label_columns: [{', '.join(map(_quote, names))}]"
            if source.format != "multi_label" and not _have_one_flag(rows, names):
                settings[column] = f"format: multi_label and {settings[column]}"
        if field in _TURN_FIELDS and (tree := nested_replies.find_column(rows)):
            settings[column] = f"columns: {{{field}: {tree}}}"
    return settings


def _quote(name: str) -> str:
    """Return a name as YAML writes it in a list."""
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def list_columns(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the columns of rows, each with its first value that is not empty."""
    columns: dict[str, Any] = {}
    for row in rows:
        columns |= {name: row[name] for name in row if columns.get(name) in (None, "")}
    return columns


def are_numbers(columns: Mapping[str, Any]) -> bool:
    """Whether columns have no names, as those of arrays and of tables without a header."""
    return bool(columns) and [*columns] == [str(number) for number in range(len(columns))]


def show_columns(columns: Mapping[str, Any]) -> list[str]:
    """Return the names of columns; those without a real name have their first value beside it."""
    if not are_numbers(columns):
        return [*columns]
    return [f"{name} ({show_value(value, 40)})" for name, value in columns.items()]


def find_flag_columns(rows: Sequence[Row], used: Collection[str]) -> list[str]:
    """Return the columns that are not used and have only 0 and 1, or only true and false.

    Return none for fewer than two, or if no row has a 1.
    """
    kinds: dict[bool, list[str]] = {}
    for name in list_columns(rows):
        values = [row.get(name) for row in rows]
        flags = [label_flags.parse_flag(value) for value in values]
        if name not in used and None not in flags:
            text = column_values.write_text(values[0]) or ""
            kinds.setdefault(text.strip().isalpha(), []).append(name)
    names = max(kinds.values(), key=len, default=[])
    is_set = any(label_flags.parse_flag(row[name]) for row in rows for name in names)
    return names if len(names) > 1 and is_set else []


def _have_one_flag(rows: Sequence[Row], names: Sequence[str]) -> bool:
    """Whether each row has exactly one 1."""
    return all(sum(bool(label_flags.parse_flag(row[name])) for name in names) == 1 for row in rows)


def _name_numbers(
    missing: Mapping[str, str], rows: Sequence[Row], columns: Mapping[str, Any], source: Source
) -> dict[str, str]:
    """Return the columns of fields in rows without names; the longest text is no label."""
    fields = [*missing.values()]
    if len(fields) == 1 and fields[0] in _TURN_FIELDS and source.header:
        setting = f"columns: {{{fields[0]}: row}}"
    elif len(fields) == len(columns):
        names = [*columns]
        if source.format in LABEL_FORMATS:
            names.sort(key=lambda name: -sum(len(str(row.get(name))) for row in rows))
        named = ", ".join(f"{f}: '{name}'" for f, name in zip(fields, names, strict=True))
        setting = f"columns: {{{named}}}"
    else:
        setting = f"columns, such as {{{fields[0]}: '0'}}"
    return dict.fromkeys(missing, setting)
