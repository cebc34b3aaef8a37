"""Rows inside a JSON value: the elements of an array, or the values that a path leads to."""

from collections.abc import Mapping
from typing import Any

from lockstep.data import strict_json
from lockstep.data.files.json_text import JsonText
from lockstep.data.files.placed_rows import DataFile, PlacedRows, RawRow
from lockstep.data.files.table_cells import check_columns, has_column
from lockstep.data.rejected_rows import InvalidRowError

NAME_COLUMN, SPLIT_COLUMN, ARRAY_COLUMN = "id", "split", "row"
"""Columns for the name of an object's row, for the name of an array of rows, and for the whole row:
an array, or a tree of turns. They exist only if the source uses them and the rows lack them."""


def make_row(text: str, above: Mapping[str, Any]) -> RawRow:
    """Return the row of a JSON text, with columns from above it that it does not have itself."""
    if not above or not text.startswith("{"):
        return text
    row = parse_value(text)
    return {**above, **row} if isinstance(row, dict) else row


def parse_value(text: str) -> Any:
    """Return a strictly parsed value, or the error that makes it unusable."""
    try:
        return strict_json.parse(text)
    except InvalidRowError as error:
        error.row = text
        return error


def select_columns(file: DataFile, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that the source uses."""
    return {name: value for name, value in values.items() if name in file.columns.used}


def make_array_row(text: str, file: DataFile) -> RawRow:
    """Return the row of a JSON array: its columns are called 0, 1, …, and the whole is `row`."""
    items = parse_value(text)
    if not isinstance(items, list):
        return items if isinstance(items, InvalidRowError) else text
    numbered = {str(number): item for number, item in enumerate(items)}
    required = file.columns.required
    if required and not any(has_column([*numbered, ARRAY_COLUMN], name) for name in required):
        check_columns([*numbered, ARRAY_COLUMN], file.path, file.columns)
    whole = select_columns(file, {ARRAY_COLUMN: items})
    return (select_columns(file, numbered) | whole) if whole else numbered


def is_header(text: str, file: DataFile) -> bool:
    """Whether an array holds the names of all required columns."""
    items = parse_value(text)
    required = file.columns.required
    return isinstance(items, list) and bool(required) and all(name in items for name in required)


def read_array(
    document: JsonText, start: int, file: DataFile, above: Mapping[str, Any], split: str = ""
) -> PlacedRows:
    """Yield the rows of an array; the first element tells whether they are arrays or texts."""
    opening, names = "", None
    for number, member in enumerate(document.iterate(start), 1):
        text = document.text[member.start : member.end]
        opening = opening or text[0]
        place = f"{split}:{number}" if split else document.find_place(member.start)
        if number == 1 and opening == "[" and is_header(text, file):
            file.note("rows are arrays; the first one has the names of the columns")
            names = parse_value(text)
            continue
        if text[0] != opening or opening not in '["':
            yield place, make_row(text, above)
        elif opening == '"':
            file.note("rows are texts; their column is called text")
            value = parse_value(text)
            yield place, value if isinstance(value, InvalidRowError) else {**above, "text": value}
        elif names is not None:
            yield place, _name_items(text, names, above)
        else:
            file.note("rows are arrays; their columns are called 0, 1, … (set columns)")
            row = make_array_row(text, file)
            yield place, {**above, **row} if isinstance(row, dict) else row


def _name_items(text: str, names: list[str], above: Mapping[str, Any]) -> RawRow:
    """Return the row of an array whose columns have names."""
    items = parse_value(text)
    if isinstance(items, InvalidRowError):
        return items
    if len(items) != len(names):
        detail = f"{len(items)} items, but {len(names)} columns"
        return InvalidRowError("wrong_number_of_cells", text, detail=detail)
    return {**above, **dict(zip(names, items, strict=True))}


def list_names(document: JsonText, start: int) -> str:
    """Describe an array, or list the first names of an object."""
    if document.text[start] != "{":
        return "the elements of an array (*)" if document.text[start] == "[" else "no names"
    names = [member.name for member in document.iterate(start)]
    return ", ".join(names[:8]) + ", …" * (len(names) > 8)


def suggest_path(value: Any, required: Any, depth: int = 0) -> str | None:
    """Return a path of rows that have the required columns, by the first elements of arrays."""
    if not required or depth > 8:
        return None
    if isinstance(value, dict):
        if all(has_column([*value], name) for name in required):
            return ""
        children = list(value.values())
        is_named = len(children) > 1 and all(
            isinstance(child, dict) and child.keys() == children[0].keys() for child in children
        )
        for name, child in value.items():
            name = "*" if is_named else name
            if (below := suggest_path(child, required, depth + 1)) is not None:
                return f"{name}.{below}".rstrip(".")
    elif isinstance(value, list) and value:
        below = suggest_path(value[0], required, depth + 1)
        return None if below is None else f"*.{below}".rstrip(".")
    return None
