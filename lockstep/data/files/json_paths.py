"""Rows at a path inside a JSON value, such as `data.*.paragraphs.*.qas`."""

from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.data.files.json_rows import (
    NAME_COLUMN,
    SPLIT_COLUMN,
    list_names,
    make_row,
    parse_value,
    read_array,
    select_columns,
)
from lockstep.data.files.json_shapes import read_object
from lockstep.data.files.json_text import JsonText, Member
from lockstep.data.files.placed_rows import DataFile, PlacedRows
from lockstep.errors import UserError


def read_path(document: JsonText, file: DataFile) -> PlacedRows:
    """Yield the rows to which the path `rows` of the source leads.

    `*` stands for every element of an array and every member of an object; all other parts are
    names. Texts and numbers of the objects on the way are columns of the row if the source uses
    them, and so are the names of members: `split` for an array, `id` for an object.
    """
    path = file.layout.rows
    parts = path.split(".")
    targets = 0
    for start, above in _walk(document, document.skip_blanks(), parts, {}, file):
        targets += 1
        opening = document.text[start]
        if opening == "[":
            yield from read_array(document, start, file, above)
        elif opening == "{" and parts[-1] == "*":
            end = document.find_end(start)
            yield document.find_place(start), make_row(document.text[start:end], above)
        elif opening == "{":
            yield from read_object(document, start, list(document.iterate(start)), file)
        else:
            raise UserError(f"{file.path}: rows {path} leads to values; let it end at their object")
    if not targets:
        names = list_names(document, document.skip_blanks())
        raise UserError(
            f"{file.path}: nothing at rows {path}; at its top are {names}: correct rows in "
            "prepare.sources"
        )


def _walk(
    document: JsonText,
    start: int,
    parts: list[str],
    above: dict[str, Any],
    file: DataFile,
    is_element: bool = False,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the values to which a path leads from the value at `start`.

    A value is a pair of its position and the columns from above it. `is_element` says whether the
    value at `start` is one of several, so that its texts and numbers describe the rows below it.
    """
    if not parts:
        yield start, above
        return
    part, rest = parts[0], parts[1:]
    opening = document.text[start : start + 1]
    if part == "*" and opening in ("{", "["):
        for member in document.iterate(start):
            columns = _name_member(document, member) if opening == "{" else {}
            inner = above | select_columns(file, columns)
            yield from _walk(document, member.start, rest, inner, file, is_element=True)
    elif opening == "{":
        members = list(document.iterate(start))
        values = _read_values(document, members, file) if is_element else {}
        for member in members:
            if member.name == part:
                yield from _walk(document, member.start, rest, above | values, file)


def _name_member(document: JsonText, member: Member) -> dict[str, str]:
    """Return the name of a member as a column: that of a row, or that of an array of rows."""
    is_object = document.text[member.start] == "{"
    return {NAME_COLUMN if is_object else SPLIT_COLUMN: member.name}


def _read_values(document: JsonText, members: Sequence[Member], file: DataFile) -> dict[str, Any]:
    """Return the texts, lists of texts and numbers of an object that the source uses."""
    values = {
        member.name: parse_value(document.text[member.start : member.end])
        for member in members
        if member.name in file.columns.used and document.text[member.start] != "{"
    }
    return {name: value for name, value in values.items() if not _has_other_items(value)}


def _has_other_items(value: Any) -> bool:
    return isinstance(value, list) and not all(isinstance(item, str) for item in value)
