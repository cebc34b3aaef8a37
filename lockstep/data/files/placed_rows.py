"""The interface between a reader of one file format and its callers: rows, columns and notes."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError

RawRow = dict[str, Any] | str | InvalidRowError
"""A row before it is parsed and checked: fields, the text of a JSON value, or an error."""
PlacedRows = Iterator[tuple[str, RawRow]]
"""Pairs (place, row). The place is the number of the line on which the row begins (`line:n` for the
n-th row that begins on a line), `split:number` in an object with one array per split, or `row n`
in Parquet and in spreadsheets. The name of a file inside a .zip of several files stands before,
and so does one that `members` selects."""


def parse_object(row: RawRow) -> RawRow:
    """Return the object in the text of a row; a text without one stays, to be rejected later."""
    if not isinstance(row, str):
        return row
    try:
        value = strict_json.parse(row)
    except InvalidRowError:
        return row
    return value if isinstance(value, dict) else row


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns that a file is checked for."""

    required: Collection[str]
    """Columns that must exist."""
    used: Collection[str]
    """Columns that are read, which must not occur twice."""
    numbers: Collection[str] = ()
    """Columns of numbers, in which a decimal comma is read as a point in a table that is separated
    by semicolons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the rows of a file are; an empty text means that it is guessed."""

    delimiter: str = ""
    """Character between the cells of a .csv or .tsv file."""
    quote: str = ""
    """Character around cells that contain the delimiter; `none`: there is no such character."""
    joins_extra_cells: bool = False
    """Whether cells beyond the last column of a .csv or .tsv file belong to that column."""
    header: bool = True
    """Whether the first row of a table names its columns, which are called 0, 1, … otherwise."""
    rows: str = ""
    """Path of the rows inside a JSON value, e.g. `data.*.paragraphs.*.qas`."""
    sheet: str = ""
    """Name of the sheet of a spreadsheet."""
    members: str = ""
    """Glob pattern of the files that are read from a .zip file."""
    whole_objects: bool = False
    """Whether a JSON object is read as one row, whatever its shape."""


class Notes:
    """Remarks on how files were read, each printed once for all files that it is about."""

    def __init__(self) -> None:
        self._paths: dict[str, dict[Path, None]] = {}  # an ordered set for each remark

    def add(self, path: Path, text: str) -> None:
        """Add a remark on a file."""
        self._paths.setdefault(text, {})[path] = None

    def __str__(self) -> str:
        lines = []
        for text, (first, *others) in self._paths.items():
            more = f" (and {len(others)} more)" if others else ""
            lines.append(f"{first}{more}: {text}")
        return "\n".join(lines)

    def echo(self) -> None:
        """Print the remarks on stderr, one line each."""
        for line in str(self).splitlines():
            click.echo(f"prepare: note: {line}", err=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """An open, decompressed file of rows, and how to read it."""

    stream: IO[bytes]
    path: Path
    """Path for messages."""
    encoding: str
    columns: Columns
    layout: Layout
    notes: Notes
    reopen: Callable[[], AbstractContextManager[IO[bytes]]] = field(repr=False)
    """Opens the decompressed file once more, from its start."""

    def note(self, text: str) -> None:
        """Add a remark on this file."""
        self.notes.add(self.path, text)


Reader = Callable[[DataFile], PlacedRows]
"""Reads one file format."""
