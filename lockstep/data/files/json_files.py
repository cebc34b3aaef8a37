"""JSON files: .jsonl with one row per line, and .json with rows in any common shape."""

import io
import re
from collections.abc import Iterator
from itertools import chain

import orjson

from lockstep.data.files.json_paths import read_path
from lockstep.data.files.json_rows import make_array_row, read_array
from lockstep.data.files.json_shapes import read_object
from lockstep.data.files.json_text import JsonText
from lockstep.data.files.placed_rows import DataFile, PlacedRows
from lockstep.data.files.text_encodings import read_lines, read_text
from lockstep.data.invalid_bytes import replace_invalid_bytes
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError

_FIRST_LINE = re.compile(r"\s*[^\n]*")
"""The first line that is not blank."""


def read_json_lines(file: DataFile) -> PlacedRows:
    """Yield the row of each line; a file of values over several lines is read as a whole."""
    lines = read_lines(file)
    blank: list[str] = []
    first = ""
    for first in lines:
        if first.strip():
            break
        blank.append(first)
    if not first.strip():
        return
    if _begins_longer_value(first):
        file.note("JSON over several lines; it is read as a whole")
        yield from _read_text("".join([*blank, first, *lines]), file)
        return
    yield from _read_each_line(chain(blank, [first], lines), file)


def read_json(file: DataFile) -> PlacedRows:
    """Yield the rows of a JSON value, or of one value per line."""
    text = read_text(file)
    match = _FIRST_LINE.match(text)
    first = match[0].strip() if match else ""
    has_more = len(text.strip()) > len(first)
    if first.startswith("{") and has_more and not _begins_longer_value(first):
        yield from _read_each_line(io.StringIO(text, newline="\n"), file)
    elif first:
        yield from _read_text(text, file)


def _begins_longer_value(line: str) -> bool:
    """Whether a line is the beginning of a JSON value, or an array of rows.

    A damaged row rarely ends where a pretty-printed line does.
    """
    stripped = line.strip()
    if _is_json(stripped):
        return stripped.startswith("[") and stripped.lstrip("[ ").startswith("{")
    return stripped.endswith(("{", "[", ",", ":"))


def _is_json(text: str) -> bool:
    try:
        orjson.loads(replace_invalid_bytes(text))
    except orjson.JSONDecodeError:
        return False
    return True


def _read_each_line(lines: Iterator[str], file: DataFile) -> PlacedRows:
    """Yield the row of each line; the first one tells whether rows are arrays."""
    opening, has_path = "", bool(file.layout.rows)
    for number, line in enumerate(lines, 1):
        if opening and line[0] == "{" and not has_path:  # most rows
            yield str(number), line
            continue
        if not line.strip():
            continue
        opening = opening or (line[0] if '"' in line else " ")
        if has_path:
            yield from read_path(JsonText(line, file.path, number), file)
        elif line[0] == "\ufeff":
            yield str(number), InvalidRowError("byte_order_mark", line)
        elif line[0] == opening == "[":
            file.note("rows are arrays; their columns are called 0, 1, … (set columns)")
            yield str(number), make_array_row(line, file)
        else:
            yield str(number), line


def _read_text(text: str, file: DataFile) -> PlacedRows:
    """Yield the rows of a JSON value, or of several values one after the other."""
    document = JsonText(text, file.path)
    start = document.skip_blanks()
    if file.layout.rows:
        yield from read_path(document, file)
    elif text[start] == "[":
        yield from read_array(document, start, file, {})
        _check_end(document)
    elif text[start] == "{":
        members = list(document.iterate(start))
        if document.skip_blanks(document.end) < len(text):
            yield from _read_values(document, file)
        elif file.layout.whole_objects:
            yield document.find_place(start), text[start : document.end]
        else:
            yield from read_object(document, start, members, file)
    else:
        raise UserError(
            f"{file.path}: begins with {text[start : start + 10]!r}, which is no row, array or "
            "object of JSON; correct path in prepare.sources"
        )


def _read_values(document: JsonText, file: DataFile) -> PlacedRows:
    """Yield the row of each of several values."""
    file.note("several JSON values one after the other; each is a row")
    position = document.skip_blanks()
    while position < len(document.text):
        end = document.find_end(position)
        yield document.find_place(position), document.text[position:end]
        position = document.skip_blanks(end)


def _check_end(document: JsonText) -> None:
    """Raise UserError if there is text after the array."""
    if document.skip_blanks(document.end) < len(document.text):
        line = document.text.count("\n", 0, document.end) + 1
        raise UserError(f"{document.path}:{line}: text after the end of the array; remove it")
