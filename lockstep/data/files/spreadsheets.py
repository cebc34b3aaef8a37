"""Spreadsheets (.xlsx): the cells of one sheet as the texts that they show."""

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from itertools import chain, islice, zip_longest
from typing import Any
from xml.etree.ElementTree import ParseError

from lockstep.data.files.placed_rows import DataFile, PlacedRows
from lockstep.data.files.table_cells import MAX_TITLE_ROWS, Header, find_header
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError

_DECIMALS = re.compile(r"0\.(0+)")


def read_spreadsheet(file: DataFile) -> PlacedRows:
    """Yield the rows of a sheet; the first row that is not blank is the header.

    A formula has the value that was saved with it. Titles above the header are left out.
    """
    rows = _format_rows(file)
    first = list(islice(rows, MAX_TITLE_ROWS + 1))
    texts = [row for _, row in first if isinstance(row, list)]
    titles = find_header(texts, file) if file.layout.header else 0
    header: Header | None = None
    for place, row in chain(first, rows):
        if isinstance(row, InvalidRowError):
            yield place, row
        elif header is None and not file.layout.header:
            header = Header.number_columns(row, file.path, file.columns)
            yield place, header.make_row(row)
        elif header is not None:
            yield place, header.make_row(row)
        elif titles:
            titles -= 1
        else:
            header = Header(row, file.path, file.columns)


def _format_rows(file: DataFile) -> Iterator[tuple[str, list[str] | InvalidRowError]]:
    """Yield the place and the texts of each row that is not blank."""
    data = io.BytesIO(file.stream.read())
    for number, (cells, formulas) in enumerate(_read_cells(data, file), 1):
        try:
            texts = list(map(_format_cell, cells, formulas))
        except InvalidRowError as error:
            yield f"row {number}", error
            continue
        if any(texts):
            yield f"row {number}", texts


def _read_cells(data: io.BytesIO, file: DataFile) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield the cells of each row of the sheet, once with values and once with formulas.

    A sheet with merged cells is loaded as a whole, since a stream does not tell them.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        is_stream = not _has_merged_cells(data)
        values = load_workbook(data, read_only=is_stream, data_only=True)
        formulas = load_workbook(data, read_only=is_stream)
        name = _choose_sheet(values.sheetnames, file)
        merged = {} if is_stream else _find_merged_cells(values[name], file)
        rows = zip_longest(values[name].iter_rows(), formulas[name].iter_rows(), fillvalue=())
        for number, (row, row_of_formulas) in enumerate(rows, 1):
            pair = list(row), list(row_of_formulas)
            for column, first_row in merged.get(number, ()):
                pair[0][column - 1] = values[name].cell(first_row, column)
                pair[1][column - 1] = formulas[name].cell(first_row, column)
            yield pair
    except (InvalidFileException, KeyError, ValueError, zipfile.BadZipFile, ParseError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{file.path}: not .xlsx: {reason}; save it again as .xlsx") from None


def _has_merged_cells(data: io.BytesIO) -> bool:
    """Whether a sheet of a workbook has merged cells, which its XML lists at the end."""
    with zipfile.ZipFile(data) as archive:
        sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/")]
        return any(b"<mergeCell " in archive.read(name) for name in sheets)


def _find_merged_cells(sheet: Any, file: DataFile) -> dict[int, list[tuple[int, int]]]:
    """Return (column, first row) of the merged cells that continue in each row, with a note."""
    merged: dict[int, list[tuple[int, int]]] = {}
    count = 0
    for area in sheet.merged_cells.ranges:
        count += area.max_row > area.min_row
        for number in range(area.min_row + 1, area.max_row + 1):
            merged.setdefault(number, []).append((area.min_col, area.min_row))
    if count:
        file.note(f"cells merged over several rows: {count}; each row has their value")
    return merged


def _choose_sheet(names: list[str], file: DataFile) -> str:
    """Return the sheet that is set, or the first one."""
    if file.layout.sheet:
        if file.layout.sheet not in names:
            raise UserError(
                f"{file.path}: no sheet {file.layout.sheet}; it has {', '.join(names)}: correct "
                "sheet in prepare.sources"
            )
        return file.layout.sheet
    if len(names) > 1:
        others = ", ".join(names[1:])
        file.note(f"the first sheet, {names[0]}, is read and not {others} (sheet selects one)")
    return names[0]


def _format_cell(cell: Any, formula: Any) -> str:
    """Return the text of a cell; raise InvalidRowError for an error or an unknown value."""
    from openpyxl.utils.escape import unescape

    value = cell.value
    if cell.data_type == "e":
        raise InvalidRowError("spreadsheet_error", str(value))
    if isinstance(value, str):
        return unescape(value)  # Excel saves a carriage return as _x000D_
    if value is None:
        if formula is not None and formula.data_type == "f":
            raise InvalidRowError("formula_without_value", str(formula.value))
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _format_number(value, cell.number_format)
    return _format_time(value) if isinstance(value, date | time) else str(value)


def _format_time(value: date | time) -> str:
    """Return a date or time in ISO 8601; the time of a day that has none is left out."""
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()


def _format_number(value: int | float, number_format: str) -> str:
    """Return a number with the decimals, the separators and the percent sign that it shows."""
    shown = number_format.split(";")[0]
    match = _DECIMALS.search(shown)
    is_percent = shown.endswith("%")
    if shown in ("General", "@"):
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    if not match and not is_percent and "0" not in shown:
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    comma = "," if "#,##0" in shown else ""
    decimals = len(match[1]) if match else 0
    return f"{value * 100 if is_percent else value:{comma}.{decimals}f}{'%' * is_percent}"
