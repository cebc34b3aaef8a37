"""Access to the fields of a row; a missing or unusable field raises InvalidRowError."""

import math
import re
from typing import Any

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import column_values
from lockstep.data.sources import Source

Row = dict[str, Any]
"""A row: column names and values."""

CONTROL_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_]+\|>|\[/?INST\]|</?s>|<(?:start|end)_of_turn>|<｜[^<>｜\n]{1,40}｜>"
    r"|<extra_id_[01]>(?=System|User|Assistant)"
)
"""Tokens by which chat templates mark turns; inside data they would forge a turn."""

REASONING_MARKS = (
    *("<|begin_of_thought|>", "<|end_of_thought|>"),
    *("<|begin_of_solution|>", "<|end_of_solution|>"),
)
"""Marks around the reasoning and the answer after it in the data of OpenThoughts and Sky-T1."""

MAX_LISTED_CHARACTERS = 100
"""Maximum number of characters of the column names that a detail lists."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def get_optional_field(row: Row, source: Source, name: str) -> Any:
    """Return a field; None if the row does not have it."""
    return row.get(source.get_column(name))


def get_required_field(row: Row, source: Source, name: str) -> Any:
    """Return a field; raise InvalidRowError if it does not exist or is null."""
    column = source.get_column(name)
    if row.get(column) is None:
        raise _make_absence_error(row, name, column)
    return row[column]


def _make_absence_error(row: Row, name: str, column: str) -> InvalidRowError:
    """Return the error of a field that a row lacks, or that is null."""
    if column in row:
        return InvalidRowError(f"{name}_is_null", detail=_describe_absence(column))
    names = " ".join(", ".join(row).split())[:MAX_LISTED_CHARACTERS]
    detail = f"the row has {names or 'no column'}; columns: {{{name}: …}} names another column"
    return InvalidRowError(f"missing_{name}", detail=detail)


def _describe_absence(column: str) -> str:
    name = column if column.isidentifier() else f'column("{column}")'
    return f"fill it, or leave such rows out by where: {name} != null"


def get_text_field(row: Row, source: Source, name: str) -> str:
    """Return a field; raise InvalidRowError if it is not a string with visible content."""
    return check_text(get_required_field(row, source, name), name)


def get_named_field(row: Row, source: Source, name: str) -> str:
    """Return the field if the settings of the source name its column; "" if they do not."""
    if not source.sets(name):
        return ""
    value = get_slice_value(row, source.get_column(name))
    if not value:
        raise InvalidRowError(
            f"empty_{name}", detail=f"fill {source.get_column(name)}, or leave the row out by where"
        )
    return value


def get_slice_value(row: Row, column: str) -> str:
    """Return the value of a slice as text; "" if the row has none.

    Raise InvalidRowError for a list or an object.
    """
    value = row.get(column)
    if value is None:
        return ""
    text = column_values.write_text(value)
    if text is None:
        raise InvalidRowError(
            f"{column}_not_text",
            detail=f"it is {show_value(value)}; name a part of it by a path such as {column}.0",
        )
    return column_values.normalize_name(check_characters(text))


def get_label_field(row: Row, source: Source) -> str:
    """Return the name of the label in a row, which may be the only element of a list."""
    value = get_required_field(row, source, "label")
    if isinstance(value, list):
        if len(value) != 1:
            column = source.get_column("label")
            raise InvalidRowError(
                "label_not_text",
                detail=f"it is {show_value(value)}, not one label; set format: multi_label and "
                f"columns: {{labels: {column}}}, or leave such rows out by where: "
                f"len({column}) == 1",
            )
        value = value[0]
    return read_label(value, source)


def split_labels(text: str, source: Source) -> Any:
    """Return the labels in a cell: its JSON list, or numbers and known labels between commas."""
    labels = [label.strip() for label in text.split(",")]
    known = {*source.label_names, *source.label_names.values()}
    if all(label in known or (label.isdecimal() and label.isascii()) for label in labels):
        return labels
    try:
        return parse_json(text, "labels")
    except InvalidRowError as error:
        detail = f"{error.detail}; labels between commas need label_names in the source"
        raise InvalidRowError(str(error), detail=detail) from None


def read_label(value: Any, source: Source) -> str:
    """Return the name of a label that is a text, a whole number, a truth value or a code."""
    text = column_values.write_text(value)
    text = check_text(value if text is None else text, "label")
    code = text.strip()
    if not source.label_names:
        return code
    name = source.label_names.get(code, source.label_names.get(code.removesuffix(".0")))
    if name is None and code not in source.label_names.values():
        raise InvalidRowError("label_without_name", detail=f"label_names has no {code!r}; add it")
    return name or code


def check_text(value: Any, name: str) -> str:
    """Return the value; raise InvalidRowError if it is not a string with visible content."""
    if not isinstance(value, str):
        if value is None:
            raise InvalidRowError(
                f"{name}_is_null", detail="fill it, or leave the row out by where"
            )
        raise InvalidRowError(
            f"{name}_not_text",
            detail=f"it is {show_value(value)}; columns can name a part of it by a path",
        )
    if not value.strip():
        raise InvalidRowError(f"empty_{name}", detail="fill it, or leave the row out by where")
    return check_characters(value)


def check_characters(text: str) -> str:
    """Return the text; raise InvalidRowError for NUL and lone surrogates, which break readers."""
    if "\0" in text:
        raise InvalidRowError("nul_character")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRowError("lone_surrogate") from None
    return text


def check_names(row: Row) -> None:
    """Raise InvalidRowError if the name of a column has a bad character."""
    names = "".join(row)
    if not names.isascii():
        check_characters(names)


def make_token_error(mark: re.Match[str]) -> InvalidRowError:
    """Return the error of a text with a control token; a remedy for marks of reasoning."""
    remedy = ""
    if mark[0] in REASONING_MARKS:
        remedy = (
            f"; only an answer of {' … '.join(REASONING_MARKS)} is read: for a system message that "
            'describes these marks, set constants: {system: ""}'
        )
    return InvalidRowError("control_token", detail=f"a text contains {mark[0]}{remedy}")


def check_all_texts(value: Any) -> None:
    """Raise InvalidRowError if a string in a JSON value has a control token or a bad character."""
    if isinstance(value, str) and (found := CONTROL_TOKEN.search(check_characters(value))):
        raise make_token_error(found)
    if isinstance(value, dict):
        check_all_texts([*value, *value.values()])
    elif isinstance(value, list):
        for child in value:
            check_all_texts(child)


def is_empty(value: Any) -> bool:
    """Whether a value is null, an empty text, or a list or an object of such values alone."""
    if isinstance(value, dict):
        return all(map(is_empty, value.values()))
    if isinstance(value, list):
        return all(map(is_empty, value))
    return value is None or value == ""


def parse_number(value: Any) -> float:
    """Return a number, or the number in a text; NaN if there is none."""
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip())):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def parse_json(text: str, name: str) -> Any:
    """Return the JSON value in a text; `name` is the field that an InvalidRowError names."""
    try:
        return strict_json.parse(text)
    except InvalidRowError as error:
        raise InvalidRowError(
            f"{name}_not_json", detail=f"{show_value(text, 40)} is a text and no JSON ({error})"
        ) from None
