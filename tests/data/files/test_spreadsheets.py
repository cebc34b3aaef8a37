"""The cells of a spreadsheet are read as the texts that they show."""

import io
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from lockstep.errors import UserError
from tests.data.files.reading import check, read, write

HEADER = ["text", "label"]


def save(folder: Path, *sheets: list[list[Any]], formats: dict[str, str] | None = None) -> Path:
    """Write a workbook whose sheets are called S0, S1, …, with number formats of cells in S0."""
    book = Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"S{number}")
        for row in rows:
            sheet.append(row)
    for cell, number_format in (formats or {}).items():
        book["S0"][cell].number_format = number_format
    stream = io.BytesIO()
    book.save(stream)
    return write(folder, "a.xlsx", stream.getvalue())


def test_blank_rows_and_columns_are_no_rows(tmp_path: Path) -> None:
    file = save(tmp_path, [[None, None], HEADER, ["hi", "a"], [None, None], ["yo\nyo", "b", None]])
    rows, notes = read(file)
    assert rows == [
        ("row 3", {"text": "hi", "label": "a"}), ("row 5", {"text": "yo\nyo", "label": "b"}),
    ]  # fmt: skip
    assert notes == ""


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (3, "General", "3"),
        (0.1 + 0.2, "General", "0.3"),
        (2.0, "General", "2"),
        (12345.678, "#,##0.00", "12,345.68"),
        (0.5, "0%", "50%"),
        (0.125, "0.0%", "12.5%"),
        (True, "General", "TRUE"),
        (date(2024, 5, 1), "dd/mm/yyyy", "2024-05-01"),
        (datetime(2024, 5, 1, 9, 30), "yyyy-mm-dd hh:mm", "2024-05-01 09:30:00"),
        (time(9, 30), "hh:mm", "09:30:00"),
        ("007", "@", "007"),
    ],
)
def test_a_value_is_the_text_that_it_shows(
    tmp_path: Path, value: Any, number_format: str, shown: str
) -> None:
    file = save(tmp_path, [HEADER, ["x", value]], formats={"B2": number_format})
    assert read(file)[0] == [("row 2", {"text": "x", "label": shown})]


def test_a_formula_has_its_saved_value_or_its_row_is_rejected(tmp_path: Path) -> None:
    file = save(tmp_path, [HEADER, ["x", "=1+1"], ["y", "#N/A"], ["z", "c"]])
    assert [row if isinstance(row, str) else row["text"] for _, row in read(file)[0]] == [
        "formula_without_value", "spreadsheet_error", "z",
    ]  # fmt: skip


def test_the_first_sheet_is_read_unless_one_is_named(tmp_path: Path) -> None:
    file = save(tmp_path, [HEADER, ["x", "a"]], [HEADER, ["y", "b"]])
    rows, notes = read(file)
    assert [row["text"] for _, row in rows] == ["x"]
    assert notes == "the first sheet, S0, is read and not S1 (sheet selects one)"
    rows, notes = read(file, sheet="S1")
    assert [row["text"] for _, row in rows] == ["y"] and notes == ""
    with pytest.raises(UserError, match="no sheet S2; it has S0, S1: correct sheet"):
        read(file, sheet="S2")


@pytest.mark.parametrize("data", [b"no", b"PK\x03\x04no"])
def test_what_is_no_spreadsheet_is_one_line(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserError, match=r"a\.xlsx: not \.xlsx: .*; save it again as \.xlsx$"):
        read(write(tmp_path, "a.xlsx", data))


def test_a_missing_column_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column label; it has text"):
        check(save(tmp_path, [["text"], ["x"]]))


def test_escaped_control_characters_are_read(tmp_path: Path) -> None:
    """Excel saves a carriage return in a cell as _x000D_, and that very text as _x005F_x000D_."""
    file = save(tmp_path, [HEADER, ["one_x000D_\ntwo", "a"], ["a _x005F_x000D_", "snake_x_case"]])
    assert [tuple(row.values()) for _, row in read(file)[0]] == [
        ("one\r\ntwo", "a"), ("a _x000D_", "snake_x_case"),
    ]  # fmt: skip


def test_a_sheet_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    rows, _ = read(save(tmp_path, [[None], ["hi", "a"], ["yo", "b"]]), header=False)
    assert rows == [("row 2", {"0": "hi", "1": "a"}), ("row 3", {"0": "yo", "1": "b"})]


def test_merged_cells_have_their_value_in_each_row(tmp_path: Path) -> None:
    file = save(tmp_path, [HEADER, ["hi", "a"], ["yo", None], ["ho", None], ["no", None]])
    book = load_workbook(file)
    book["S0"].merge_cells("B2:B4")
    book.save(file)
    rows, notes = read(file)
    assert [row["label"] for _, row in rows] == ["a", "a", "a", ""]
    assert notes == "cells merged over several rows: 1; each row has their value"


def test_a_title_above_the_header_is_left_out_with_a_note(tmp_path: Path) -> None:
    file = save(tmp_path, [["Report", None], ["2024", "May"], [None], HEADER, ["hi", "a"]])
    book = load_workbook(file)
    book["S0"].merge_cells("A1:B1")
    book.save(file)
    rows, notes = read(file)
    assert rows == [("row 5", {"text": "hi", "label": "a"})]
    assert notes == "rows above the header are left out: 2, the first is 'Report'"


def test_rows_after_many_unreadable_ones_are_read(tmp_path: Path) -> None:
    formulas = [["=A9", "=B9"]] * 8  # no program has saved their values
    rows, _ = read(save(tmp_path, [*formulas, HEADER, ["hi", "a"]]))
    assert [place for place, _ in rows] == [f"row {number}" for number in [*range(1, 9), 10]]
    assert rows[-1][1] == {"text": "hi", "label": "a"}
