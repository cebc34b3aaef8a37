"""Rows of tables: the header, and the cells under it as spreadsheets and exports write them."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from lockstep.data.files.placed_rows import Columns, DataFile
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError

_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*", re.ASCII)

_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad]")
"""Characters of no width that programs leave in names."""
_EDGE_CHARACTERS = "\u200c\u200d\u200e\u200f\u00a0\u3000 \t\r\n\v\f"
"""Joiners, marks of direction and blanks, which do nothing at the ends of a name."""
MAX_TITLE_ROWS = 5
"""Maximum number of rows above the header of a table."""


class Header:
    """The names of a table's columns, without those that are blank at the end."""

    def __init__(
        self, cells: Sequence[str], path: Path, columns: Columns, extra_delimiter: str = ""
    ) -> None:
        """Read a header; raise UserError if a column that is used occurs twice.

        Cells beyond the last column belong to it, with `extra_delimiter` between them; if that is
        empty, they are errors.
        """
        self.cells: list[str] | None = list(cells)
        self.extra_delimiter = extra_delimiter
        self.names = _name_columns(cells, columns, has_extra=bool(extra_delimiter))
        self.has_blank_end = len(cells) > len(self.names)
        self.joined = 0
        """Number of rows with such cells."""
        check_columns(self.names, path, columns)

    @classmethod
    def number_columns(
        cls, cells: Sequence[str], path: Path, columns: Columns, extra_delimiter: str = ""
    ) -> "Header":
        """Return the names 0, 1, … for a table without a header that begins with these cells."""
        header = cls(list(map(str, range(len(cells)))), path, columns, extra_delimiter)
        header.cells = None  # no row is a repeated header
        return header

    def make_row(self, cells: list[str]) -> dict[str, str] | InvalidRowError:
        """Return the row of some cells; cells without a column must be empty, unless they join."""
        width = len(self.names)
        if len(cells) > width and self.extra_delimiter:
            cells = self._join_extra(cells)
        if len(cells) < width or (len(cells) > width and any(cells[width:])):
            detail = f"{len(cells)} cells, but {width} columns; quote cells with a delimiter inside"
            if len(cells) > width:
                detail += f", or set extra_cells: join if they belong to {self.names[-1]}"
            return InvalidRowError("wrong_number_of_cells", " | ".join(cells), detail=detail)
        return dict(zip(self.names, cells, strict=False))

    def _join_extra(self, cells: list[str]) -> list[str]:
        """Return cells of which the last one has the text of all beyond it.

        Empty cells at the end say nothing if the header ends with them too.
        """
        width = len(self.names)
        end = len(cells)
        while end > width and not cells[end - 1] and self.has_blank_end:
            end -= 1
        if end > width:
            self.joined += 1
        return [*cells[: width - 1], self.extra_delimiter.join(cells[width - 1 : end])]


def find_header(rows: Sequence[list[str]], file: DataFile) -> int:
    """Return the number of rows above the header, such as a title; add a note if there are some.

    The header is the first of some rows with all required columns; if none has them, the first.
    """
    required = file.columns.required
    for number, cells in enumerate(rows):
        names = [_clean_name(cell) for cell in cells]
        if required and all(has_column([*cells, *names], name) for name in required):
            if number:
                shown = " | ".join(filter(None, rows[0]))[:60]
                count = sum(map(any, rows[:number]))
                file.note(f"rows above the header are left out: {count}, the first is {shown!r}")
            return number
    return 0


def check_columns(names: Sequence[str], path: Path, columns: Columns) -> None:
    """Raise UserError if a used column occurs twice."""
    repeated = [name for name in columns.used if list(names).count(name) > 1]
    if repeated:
        raise UserError(f"{path}: two columns {repeated[0]}; rename or remove one")


def has_column(names: Collection[str], name: str) -> bool:
    """Whether a column is one of these names, or is nested in one (`meta.text` in `meta`)."""
    return name in names or ("." in name and name.partition(".")[0] in names)


def replace_decimal_comma(value: str) -> str:
    """Return a number with a decimal point instead of a comma; any other text as it is."""
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value


def _name_columns(cells: Sequence[str], columns: Columns, has_extra: bool) -> list[str]:
    """Return the clean names; a nameless column is called as pandas does.

    Nameless columns at the end are left out. `has_extra` says that those which pandas has named are
    nameless too.
    """
    names = [cell if cell in columns.used else _clean_name(cell) for cell in cells]
    called = [f"Unnamed: {index}" for index in range(len(names))]
    while names and (not names[-1] or (has_extra and names[-1] == called[len(names) - 1])):
        if names[-1] in columns.used:
            break
        names.pop()
    return [name or called[index] for index, name in enumerate(names)]


def _clean_name(cell: str) -> str:
    """Return a name without blanks around it and without characters that cannot be seen."""
    return cell.strip() if cell.isascii() else _INVISIBLE.sub("", cell).strip(_EDGE_CHARACTERS)
