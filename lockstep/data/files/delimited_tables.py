"""Delimited tables: .csv and .tsv files as spreadsheets and databases of any locale write them."""

import contextlib
import csv
import re
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lockstep.data.files import delimiters
from lockstep.data.files.opening import strip_compression
from lockstep.data.files.placed_rows import DataFile, PlacedRows, RawRow
from lockstep.data.files.table_cells import (
    MAX_TITLE_ROWS,
    Header,
    find_header,
    replace_decimal_comma,
)
from lockstep.data.files.text_encodings import read_lines
from lockstep.data.invalid_bytes import has_invalid_bytes, show_invalid_bytes
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The characters that separate and quote cells."""

    delimiter: str
    quote: str

    def read(self, lines: Iterable[str]) -> Any:
        """Return a reader of the cells of these lines."""
        if self.quote == "none":
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)

    def read_escaped(self, lines: Iterable[str]) -> Any:
        r"""Return a reader of lines in which `\"` stands for a quote inside a cell."""
        escaped = re.compile(rf"(?<!\\)((?:\\\\)*)\\{self.quote}")
        return self.read(escaped.sub(rf"\1{self.quote * 2}", line) for line in lines)


class _Lines:
    """Lines of a file that can be given back, so that a row can be read in another way."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._pending = lines, deque[str]()
        self.taken: list[str] = []
        """Lines since `start_row`."""
        self.number = 0
        """Number of the last line."""
        self.marks = 0
        """Number of byte order marks at the beginning of later lines, which are left out."""
        self.last = "\n"

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else next(self._lines)
        if line[:1] == "\ufeff":
            line = line[1:]
            self.marks += 1
        self.number += 1
        self.taken.append(line)
        self.last = line
        return line

    def start_row(self) -> None:
        """Forget the lines that were taken."""
        self.taken = []

    def give_back(self) -> None:
        """Put the lines that were taken in front of the others."""
        self._pending.extendleft(reversed(self.taken))
        self.number -= len(self.taken)
        self.taken = []


def read_delimited(file: DataFile) -> PlacedRows:
    """Yield the rows of a table, each with the line on which it begins."""
    csv.field_size_limit(sys.maxsize)  # a setting of the whole process
    lines = _Lines(_split_at_carriage_returns(read_lines(file)))
    dialect = _choose_dialect(file, lines)
    header = _read_header(lines, dialect, file)
    if not file.layout.header:
        lines.give_back()
    numbers = [name for name in file.columns.numbers if name in header.names]
    counts: Counter[str] = Counter()
    for place, row in _read_cells(lines, dialect, header, file, counts):
        if isinstance(row, dict) and numbers and dialect.delimiter == ";":
            _replace_decimal_commas(row, numbers, counts)
        yield place, row
    if header.joined:
        file.note(f"rows whose extra cells are joined to {header.names[-1]}: {header.joined}")
    _note_counts(file, counts, lines)


def _split_at_carriage_returns(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines; a file without any line feed has the line ends of an old Macintosh."""
    first = next(lines, "")
    if "\r" in first[:-2] and not first.endswith("\n"):
        first, *others = first.replace("\r", "\n").splitlines(keepends=True)
        lines = iter(others)
    if first:
        yield first
        yield from lines


def _choose_dialect(file: DataFile, lines: _Lines) -> _Dialect:
    """Return delimiter and quote, and leave the header as the next line."""
    sample = list(islice(lines, delimiters.SAMPLE_LINES))
    blank = next((i for i, line in enumerate(sample) if line.strip()), 0)
    excel = delimiters.read_excel_delimiter(sample[blank]) if sample else ""
    skipped = blank + bool(excel)
    is_tsv = strip_compression(file.path.name).suffix.lower() == ".tsv"
    default, rows = "\t" if is_tsv else ",", sample[skipped:]
    delimiter = file.layout.delimiter or excel
    delimiter = delimiter or delimiters.choose_delimiter(file, rows, default)
    quote = file.layout.quote or delimiters.choose_quote(file, rows, delimiter)
    lines.give_back()
    for _ in range(skipped):
        next(lines)
    lines.start_row()
    return _Dialect(delimiter, quote)


def _read_header(lines: _Lines, dialect: _Dialect, file: DataFile) -> Header:
    if file.layout.header:
        _skip_titles(lines, dialect, file)
    try:
        cells = next(dialect.read(lines), None)
    except csv.Error as error:
        raise UserError(f"{file.path}:1: header is not CSV: {error}; repair it") from None
    if not cells:
        raise UserError(f"{file.path}: no header; remove it from prepare.sources or fill it")
    extra = dialect.delimiter if file.layout.joins_extra_cells else ""
    if not file.layout.header:
        return Header.number_columns(cells, file.path, file.columns, extra)
    if shown := show_invalid_bytes("".join(cells)):
        raise UserError(
            f"{file.path}: the header has bytes that cannot be decoded as {file.encoding} "
            f"({shown}); repair it or correct encoding in prepare.sources"
        )
    return Header(cells, file.path, file.columns, extra)


def _skip_titles(lines: _Lines, dialect: _Dialect, file: DataFile) -> None:
    """Leave the header as the next line if there are titles above it."""
    number, reader = 0, dialect.read(lines)
    with contextlib.suppress(csv.Error):
        rows = list(islice(reader, MAX_TITLE_ROWS + 1))
        if not has_invalid_bytes("".join(rows[0] if rows else [])):
            number = find_header(rows, file)
    lines.give_back()
    reader = dialect.read(lines)
    for _ in range(number):
        next(reader)
    if number:
        lines.start_row()


def _read_cells(
    lines: _Lines, dialect: _Dialect, header: Header, file: DataFile, counts: Counter[str]
) -> PlacedRows:
    reader = dialect.read(lines)
    while True:
        lines.start_row()
        line = lines.number + 1
        row: RawRow
        try:
            cells = next(reader, None)
            if cells is None:
                return
            if not cells:
                continue
            row = header.make_row(cells)
        except csv.Error:
            cells, row = [], InvalidRowError("invalid_csv", "".join(lines.taken))
        if isinstance(row, InvalidRowError):
            escaped = _read_escaped(lines, dialect, header)
            counts["escaped"] += escaped is not None
            row = escaped or _end_at_damage(row, lines)
            _check_extent(row, lines, line, file)
        if cells == header.cells:
            counts["headers"] += 1
        else:
            yield str(line), row


def _check_extent(row: RawRow, lines: _Lines, line: int, file: DataFile) -> None:
    """Raise UserError for a bad row of several lines: it may hold other rows, left uncounted."""
    is_bad = isinstance(row, InvalidRowError) and not has_invalid_bytes(row.row)
    if is_bad and lines.number > line:
        raise UserError(
            f"{file.path}:{line}: a quote that opens here does not close before line "
            f"{lines.number}; close it, or double it where it is text, or set quote: none"
        )


def _end_at_damage(row: InvalidRowError, lines: _Lines) -> InvalidRowError:
    """Return the error of a bad row, which ends with its last damaged line if it has one.

    A damaged quote or delimiter would make the following rows a part of it.
    """
    damaged = [i for i, line in enumerate(lines.taken) if has_invalid_bytes(line)]
    if not damaged or len(lines.taken) == 1:
        return row
    text = "".join(lines.taken[: damaged[-1] + 1])
    lines.give_back()
    for _ in range(damaged[-1] + 1):
        next(lines)
    return InvalidRowError("invalid_csv", text)


def _read_escaped(lines: _Lines, dialect: _Dialect, header: Header) -> dict[str, str] | None:
    r"""Return the row that begins with the lines taken if `\"` is a quote inside a cell.

    Return None, with the same lines taken, if that gives no row.
    """
    number = len(lines.taken)
    if not any(f"\\{dialect.quote}" in line for line in lines.taken):
        return None
    lines.give_back()
    try:
        row = header.make_row(next(dialect.read_escaped(lines), []))
    except csv.Error:
        row = InvalidRowError("invalid_csv")
    if isinstance(row, dict):
        return row
    lines.give_back()
    for _ in range(number):
        next(lines)
    return None


def _replace_decimal_commas(row: dict[str, str], names: list[str], counts: Counter[str]) -> None:
    for name in names:
        value = replace_decimal_comma(row[name])
        counts["commas"] += value != row[name]
        row[name] = value


def _note_counts(file: DataFile, counts: Counter[str], lines: _Lines) -> None:
    if counts["headers"]:
        file.note(f"{counts['headers']} repeated header rows are left out")
    if counts["escaped"]:
        file.note(rf"{counts['escaped']} rows have \" for a quote in a cell, and are read so")
    if counts["commas"]:
        file.note(f"{counts['commas']} numbers have a decimal comma, which is read as a point")
    if lines.marks:
        file.note(f"{lines.marks} byte order marks inside the file are left out")
    if not lines.last.endswith(("\n", "\r")):
        file.note("no line end after the last row, which may be cut off")
