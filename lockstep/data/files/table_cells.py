"""Rows of tables: the header, and the cells under it as spreadsheets and exports write them."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from lockstep.data.files.placed_rows import Columns
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError

_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*", re.ASCII)


class Header:
    """The names of a table's columns, without those that are blank at the end."""

    def __init__(self, cells: Sequence[str], path: Path, columns: Columns) -> None:
        """Read a header; raise UserError if a column that is used occurs twice."""
        self.cells: list[str] | None = list(cells)
        self.names = _name_columns(cells, columns)
        check_columns(self.names, path, columns)

    @classmethod
    def number_columns(cls, cells: Sequence[str], path: Path, columns: Columns) -> "Header":
        """Return the names 0, 1, … for a table without a header that begins with these cells."""
        header = cls(list(map(str, range(len(cells)))), path, columns)
        header.cells = None  # no row is a repeated header
        return header

    def make_row(self, cells: list[str]) -> dict[str, str] | InvalidRowError:
        """Return the row of some cells; cells without a column must be empty."""
        width = len(self.names)
        if len(cells) < width or (len(cells) > width and any(cells[width:])):
            detail = f"{len(cells)} cells, but {width} columns; quote cells with a delimiter inside"
            return InvalidRowError("wrong_number_of_cells", " | ".join(cells), detail=detail)
        return dict(zip(self.names, cells, strict=False))


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


def _name_columns(cells: Sequence[str], columns: Columns) -> list[str]:
    """Return the names without blanks around them; a nameless column is called as pandas does."""
    width = max((i for i, cell in enumerate(cells, 1) if cell.strip()), default=0)
    names = [cell if cell in columns.used else cell.strip() for cell in cells[:width]]
    return [name or f"Unnamed: {index}" for index, name in enumerate(names)]
