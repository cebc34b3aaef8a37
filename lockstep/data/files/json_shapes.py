"""Shapes of a JSON object that holds rows: columns, splits, rows by name, a wrapper, one row."""

from collections.abc import Sequence
from typing import Any

from lockstep.data.files.json_rows import (
    NAME_COLUMN,
    SPLIT_COLUMN,
    list_names,
    make_row,
    parse_value,
    read_array,
    select_columns,
    suggest_path,
)
from lockstep.data.files.json_text import JsonText, Member
from lockstep.data.files.placed_rows import DataFile, PlacedRows
from lockstep.data.files.table_cells import check_columns, has_column
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError

_TURN_KEYS = {"role", "content", "from", "value"}
"""Keys of a turn, by which an object is a message and not a column."""


def read_object(
    document: JsonText, start: int, members: Sequence[Member], file: DataFile
) -> PlacedRows:
    """Yield the rows of an object; raise UserError if its shape leaves open where they are."""
    openings = {document.text[member.start] for member in members}
    if _is_split_frame(members, openings):
        yield from _read_split_frame(document, start, file)
    elif _is_columns(document, members, openings, file):
        yield from _read_columns(document, start, file)
    elif _is_row(members, file) or not openings & {"[", "{"}:
        yield document.find_place(start), document.text[start : document.find_end(start)]
    elif openings == {"{"}:
        yield from _read_named_rows(document, members, file)
    else:
        yield from _read_arrays(document, start, members, file)


def _is_row(members: Sequence[Member], file: DataFile) -> bool:
    """Whether the members are the columns of one row."""
    required = file.columns.required
    names = [member.name for member in members]
    return bool(required) and all(has_column(names, name) for name in required)


def _is_split_frame(members: Sequence[Member], openings: set[str]) -> bool:
    """Whether the object is a table as pandas writes it with orient=split."""
    names = {member.name for member in members}
    return openings == {"["} and {"columns", "data"} <= names <= {"columns", "data", "index"}


def _is_columns(
    document: JsonText, members: Sequence[Member], openings: set[str], file: DataFile
) -> bool:
    """Whether each member is a column: an array of values, or an object of numbered values.

    Arrays of objects are splits, or the turns of a row; arrays of arrays are columns only if they
    have the names of the required columns.
    """
    if openings == {"["}:
        firsts = {_find_first(document, member) for member in members} - {""}
        if not firsts or "{" in firsts or ("[" in firsts and not _is_row(members, file)):
            return False
        lengths = {len(document.parse(member.start)) for member in members}
        return len(lengths) == 1
    if openings == {"{"}:
        keys = list(document.parse(members[0].start))
        is_numbered = bool(keys) and all(key.isdecimal() for key in keys)
        is_named = bool(keys) and _is_row(members, file) and not _TURN_KEYS & {*keys}
        if is_numbered or is_named:
            return all(list(document.parse(member.start)) == keys for member in members)
    return False


def _find_first(document: JsonText, member: Member) -> str:
    """Return the first character of an array's first element; "" if it is empty."""
    position = document.skip_blanks(member.start + 1)
    return document.text[position : position + 1].replace("]", "")


def _read_columns(document: JsonText, start: int, file: DataFile) -> PlacedRows:
    text = document.text[start : document.find_end(start)]
    columns = _parse_whole(text, file)
    check_columns(list(columns), file.path, file.columns)
    file.note(f"is an object of columns: {', '.join(columns)}")
    keys = next(iter(columns.values()))
    for number, key in enumerate(keys, 1):
        position = key if isinstance(keys, dict) else number - 1
        yield f"row {number}", {name: values[position] for name, values in columns.items()}


def _read_split_frame(document: JsonText, start: int, file: DataFile) -> PlacedRows:
    text = document.text[start : document.find_end(start)]
    frame = _parse_whole(text, file)
    file.note("is a table of columns and data")
    for number, cells in enumerate(frame["data"], 1):
        is_whole = isinstance(cells, list) and len(cells) == len(frame["columns"])
        yield (
            f"row {number}",
            dict(zip(map(str, frame["columns"]), cells, strict=True))
            if is_whole
            else InvalidRowError("wrong_number_of_cells", str(cells)),
        )


def _read_named_rows(document: JsonText, members: Sequence[Member], file: DataFile) -> PlacedRows:
    """Yield the rows of an object whose members are rows; the name is offered as a column."""
    first = document.parse(members[0].start)
    nested = suggest_path(first, file.columns.required) or _find_wrapped_rows(first, file)
    if nested:
        if len(members) == 1:
            path = f"{members[0].name}.{nested}"
            raise UserError(_describe_unclear(file, members[0].name, path))
        raise UserError(_describe_unclear(file, f"{len(members)} objects", f"*.{nested}"))
    file.note(f"is an object of {len(members)} rows; their names can be read as column id")
    for member in members:
        above = select_columns(file, {NAME_COLUMN: member.name})
        place = document.find_place(member.start)
        yield place, make_row(document.text[member.start : member.end], above)


def _find_wrapped_rows(value: Any, file: DataFile) -> str | None:
    """Return the name of an array of rows in an object that is no row, if no column is required."""
    used = {*file.columns.used}
    if file.columns.required or not isinstance(value, dict) or not used.isdisjoint(value):
        return None
    for name, child in value.items():
        first = child[0] if isinstance(child, list) and child else None
        if isinstance(first, dict) and not used.isdisjoint(first):
            return str(name)
    return None


def _read_arrays(
    document: JsonText, start: int, members: Sequence[Member], file: DataFile
) -> PlacedRows:
    """Yield the rows of the arrays of an object that hold rows: all of them, or the only one."""
    arrays = [m for m in members if document.text[m.start] == "["]
    nested = [m for m in arrays if _find_first(document, m) in ("{", "[")]
    fitting = [m for m in nested if _has_required(document, m, file)]
    is_split = len(arrays) == len(members) and len(nested) == len(
        [m for m in arrays if _find_first(document, m)]
    )
    row_arrays = arrays if is_split and nested else fitting or (nested if len(nested) == 1 else [])
    if not fitting:
        names = [member.name for member in members]
        if any(has_column(names, name) for name in file.columns.required):
            # a row that lacks a column, which the check of the columns names
            yield document.find_place(start), document.text[start : document.find_end(start)]
            return
        path = suggest_path(document.parse(start), file.columns.required)
        if path or not row_arrays:
            raise UserError(_describe_unclear(file, list_names(document, start), path))
    others = [member.name for member in members if member not in row_arrays]
    rest = f"; {', '.join(others[:8])} not" * bool(others)
    file.note(
        f"is an object; {', '.join(m.name for m in row_arrays)} are read{rest} (rows selects)"
    )
    for member in row_arrays:
        split = member.name if len(members) == len(row_arrays) else ""
        above = select_columns(file, {SPLIT_COLUMN: member.name})
        yield from read_array(document, member.start, file, above, split)


def _has_required(document: JsonText, array: Member, file: DataFile) -> bool:
    """Whether the first row of an array has all required columns."""
    first = next(document.iterate(array.start), None)
    if first is None or document.text[first.start] != "{":
        return False
    row = document.parse(first.start)
    return all(has_column([*row], name) for name in file.columns.required)


def _describe_unclear(file: DataFile, content: str, path: str | None) -> str:
    remedy = f"rows: {path}" if path else "rows to the path of its rows, e.g. data.*"
    required = ", ".join(file.columns.required) or "rows"
    return (
        f"{file.path}: an object of {content}, which is no row with {required}; set {remedy} in "
        "prepare.sources"
    )


def _parse_whole(text: str, file: DataFile) -> Any:
    """Return the value of the whole file, which must be valid as a whole."""
    value = parse_value(text)
    if isinstance(value, InvalidRowError):
        raise UserError(f"{file.path}: {value}; correct it, or write one row per line (.jsonl)")
    return value
