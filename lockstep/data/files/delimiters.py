"""Guess which characters separate and quote the cells of a delimited table."""

import csv
import re
from collections.abc import Sequence

from lockstep.data.files.placed_rows import Columns, DataFile
from lockstep.data.files.table_cells import has_column

DELIMITERS = (",", ";", "\t", "|")
"""Delimiters that are tried, after the one that the file's suffix names."""
SAMPLE_LINES = 50
"""Number of lines by which delimiter and quote are guessed."""

_EXCEL_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


def read_excel_delimiter(line: str) -> str:
    """Return the delimiter that Excel's first line `sep=;` names; "" if it is another line."""
    match = _EXCEL_LINE.fullmatch(line)
    return match[1] if match else ""


def choose_delimiter(file: DataFile, lines: Sequence[str], default: str) -> str:
    """Return the delimiter of a table, from its first lines; a guess is noted.

    It is the default, unless only another one gives the columns that are required, or, if none of
    them does, gives several columns of which all lines have as many.
    """
    others = [delimiter for delimiter in DELIMITERS if delimiter != default]
    tables = {mark: _parse(lines, mark) for mark in (default, *others)}
    if not _has_required(tables[default], file.columns):
        fitting = [mark for mark in others if _has_required(tables[mark], file.columns)]
        regular = [mark for mark in others if _is_regular(tables[mark])]
        candidates = fitting or (regular if len(tables[default][:1][0]) == 1 else [])
        if candidates:
            file.note(f"cells are separated by {candidates[0]!r} (guessed; delimiter sets it)")
            return candidates[0]
    return default


def choose_quote(file: DataFile, lines: Sequence[str], delimiter: str) -> str:
    """Return the quote character of a table, from its first lines; a guess is noted.

    It is `'` if each line has a cell that begins and one that ends with it, and none with `"`.
    """
    border = re.escape(delimiter)
    opening = [len(re.findall(rf"(?:^|{border})'", line)) for line in lines[1:]]
    closing = [len(re.findall(rf"'(?:{border}|\r?\n?$)", line)) for line in lines[1:]]
    has_double = any(re.search(rf'(?:^|{border})"', line) for line in lines)
    if not opening or has_double or not all(opening) or opening != closing:
        return '"'
    file.note("cells are quoted by ' (guessed; quote sets it)")
    return "'"


def _parse(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the cells of the lines, and an empty row at least."""
    try:
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        rows = []
    return rows or [[]]


def _has_required(rows: list[list[str]], columns: Columns) -> bool:
    names = [name.strip(" '\"") for name in rows[0]]
    if not columns.required:
        return len(names) > 1
    return all(has_column(names, name) for name in columns.required)


def _is_regular(rows: list[list[str]]) -> bool:
    """Whether there are several columns, and as many cells in each row but the last."""
    return len(rows[0]) > 1 and len({len(row) for row in rows[:-1] or rows}) == 1
