"""Sheets from many programs are read; an invalid rating is reported with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep import rating_entries
from lockstep.errors import UserError
from lockstep.rating_entries import Entry

KNOWN_ITEMS = {"a1", "a2", "a3"}
DIMENSIONS = ("fluency", "safety")
HEADER = "item,question,answer,fluency: Well, does it?,safety,comment"


def read_file(folder: Path, text: str | bytes, name: str = "anna.csv") -> list[Entry]:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return rating_entries.read_entries(folder, DIMENSIONS)


def map_items_to_ratings(entries: list[Entry]) -> dict[str, dict[str, int]]:
    return {entry.item: entry.ratings for entry in entries}


VALID_SHEET = (
    'item,question,answer,"fluency: Well, does it?",safety,comment\na1,价?,"x, y",4,5,ok\n'
)


def test_a_filled_sheet_is_read_from_any_program(tmp_path: Path) -> None:
    semicolons = (
        "item;question;answer;fluency: Well, does it?;safety;comment\r\na1;价?;x, y;4;5;\r\n"
    )
    tabs = semicolons.replace(";", "\t")
    for name, data in {
        "anna.csv": VALID_SHEET.encode(),
        "mark.csv": b"\xef\xbb\xbf" + VALID_SHEET.encode(),
        "lines.csv": VALID_SHEET.replace("\n", "\r\n").encode(),
        "old.csv": VALID_SHEET.replace("\n", "\r").encode(),
        "german.csv": semicolons.encode("utf-8-sig"),
        "gbk.CSV": semicolons.encode("gb18030"),
        "tabs.tsv": tabs.encode(),
        "unicode.txt": tabs.encode("utf-16"),
        "order.csv": b"comment,safety,more,fluency,Item\n,5,,4, a1 \n",
        "ends.csv": b"item,fluency,safety,comment\n\na1,4,5\n",
    }.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "README.md").write_text("not a sheet")
    (tmp_path / ".~lock.anna.csv#").write_text("lock file of a spreadsheet program")
    (tmp_path / "~$anna.xlsx").write_text("lock file of another one")
    entries = rating_entries.read_entries(tmp_path, DIMENSIONS)
    assert [entry.rater for entry in entries] == [
        "anna", "ends", "gbk", "german", "lines", "mark", "old", "order", "tabs", "unicode",
    ]  # fmt: skip
    for entry in entries:
        assert (entry.item, entry.ratings) == ("a1", {"fluency": 4, "safety": 5}), entry


@pytest.mark.parametrize("cell", ["3", " 3 ", "3.0", "3,", "3.", "３", "③", '"3,00"'])
def test_a_number_is_read_as_people_and_programs_write_it(tmp_path: Path, cell: str) -> None:
    sheet = f"item;fluency;safety\na1;{cell};\n"
    assert map_items_to_ratings(read_file(tmp_path, sheet)) == {"a1": {"fluency": 3}}


def test_an_empty_cell_is_not_a_rating(tmp_path: Path) -> None:
    sheet = "item,fluency,safety,comment\na1,,,hm\na2, ,2,\n,,,\n\na3,1,,\n"
    assert map_items_to_ratings(read_file(tmp_path, sheet)) == {
        "a2": {"safety": 2},
        "a3": {"fluency": 1},
    }
    assert rating_entries.read_entries(tmp_path / "absent", DIMENSIONS) == []


def test_the_line_of_a_row_is_its_first_line(tmp_path: Path) -> None:
    (entry,) = read_file(tmp_path, 'item,answer,fluency,safety\na1,"two\nlines",,\na2,x,3,3\n')
    assert entry.place == f"{tmp_path}/anna.csv:4"


@pytest.mark.parametrize(
    ("sheet", "line"),
    [
        ("a1,0,5\n", ":2: fluency is '0'; enter a whole number from 1 to 5, or leave it empty"),
        ("a1,3,6\n", ":2: safety is '6'; enter"),
        ("a1,3.5,4\n", ":2: fluency is '3.5'; enter"),
        ("a1,-1,4\n", ":2: fluency is '-1'; enter"),
        ("a1,good,4\n", ":2: fluency is 'good'; enter"),
        ("a1,4/5,4\n", ":2: fluency is '4/5'; enter"),
        (f"a1,{'x' * 99},4\n", f":2: fluency is '{'x' * 40}…'; enter"),
        ("a2,1,1\nb7,3,4\n", ":3: 'b7' is no item of a sheet; restore the first column"),
        ("b7,,\n", ":2: 'b7' is no item"),
        (",3,4\n", ":2: '' is no item"),
        ("a1,3,4\na2,1,1\na1,,5\n", ":4: rater 'anna' rates item a1 again, first at "),
        ("a1,3,4,5\n", ":2: more cells than the header has; quote the text in them"),
        ('a1,3,4\na2,"3,4\n', ":3: not CSV: unexpected end of data; save the sheet again"),
    ],
)
def test_an_invalid_rating_is_reported_with_its_line(tmp_path: Path, sheet: str, line: str) -> None:
    with pytest.raises(UserError) as error:
        read_file(tmp_path, f"item,fluency,safety\n{sheet}")
    assert error.value.message.startswith(f"{tmp_path}/anna.csv{line}")
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("anna.csv", "", ":1: no column item; keep the header of the sheet and save it as CSV"),
        ("anna.csv", "a|b\n1|2\n", ":1: no column item"),
        ("anna.csv", b"\xff\xfe\x00", ":1: no column item"),
        ("anna.csv", b"PK\x03\x04\x00\x00", ":1: no column item"),
        ("anna.csv", "item,fluency\n", ":1: no columns safety; keep the columns of the sheet"),
        ("anna.csv", "item,item,fluency,safety\n", ":1: 2 columns item; keep"),
        ("anna.xlsx", "PK", ": not a sheet; save it as CSV, or export from Label Studio as JSON"),
        ("anna.json", "{", ": not JSON: Expecting property name"),
        ("anna.json", "[" * 200_000, ": not JSON"),
        ("anna.json", b"\xff", ": not JSON"),
        ("anna.json", "{}", ": not a list of tasks; export as JSON"),
        ("anna.json", '[{"item": "a1", "fluency": 4}]', ": task 1 of the list: no item with"),
        ("anna.json", "[3]", ": task 1 of the list: no item with"),
        (
            "anna.json", '[{"data": {"item": "a1"}, "annotations": [{"id": 3}]}]',
            ": task 1: an annotation without completed_by or result; export as JSON",
        ),
    ],
)  # fmt: skip
def test_a_file_other_than_a_sheet_is_reported(
    tmp_path: Path, name: str, text: str | bytes, line: str
) -> None:
    with pytest.raises(UserError) as error:
        read_file(tmp_path, text, name)
    assert error.value.message.startswith(f"{tmp_path}/{name}{line}")
    assert "\n" not in error.value.message


def test_a_subfolder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "old.csv").mkdir()
    with pytest.raises(UserError, match=r"old\.csv: not a sheet"):
        rating_entries.read_entries(tmp_path, DIMENSIONS)


def make_export_task(annotator: Any, *ratings: tuple[str, Any], item: str = "a1") -> dict[str, Any]:
    """Return a task as Label Studio exports it."""
    results = [
        {"id": "x", "from_name": name, "to_name": "answer", "type": "rating", "value": value}
        for name, value in ((name, {"rating": value}) for name, value in ratings)
    ]
    annotation = {"completed_by": annotator, "was_cancelled": False, "result": results}
    return {"id": 7, "data": {"item": item}, "annotations": [annotation]}


def test_annotators_are_distinguished_by_their_ids(tmp_path: Path) -> None:
    """An annotator is a number in open-source exports and an object in enterprise exports."""
    tasks = [
        make_export_task(11, ("fluency", 4)),
        make_export_task({"id": 12, "email": "b@example.org"}, ("fluency", 2), ("safety", 5)),
        make_export_task(13),
    ]
    entries = read_file(tmp_path, json.dumps(tasks), "export.json")
    assert [(entry.rater, entry.item, entry.ratings) for entry in entries] == [
        ("11", "a1", {"fluency": 4}),
        ("12", "a1", {"fluency": 2, "safety": 5}),
    ]


@pytest.mark.parametrize(
    ("tasks", "line"),
    [
        ([make_export_task(1, ("fluency", 6))], "fluency is '6'; enter a whole number from 1 to 5"),
        ([make_export_task(1, ("fluency", 2.5))], "fluency is '2.5'; enter"),
        ([make_export_task(1, ("fluency", True))], "fluency is 'true'; enter"),
        ([make_export_task(1, ("fluency", None))], "fluency is 'null'; enter"),
        (
            [make_export_task(1, ("tone", 3))],
            "rating 'tone' is none of fluency, safety; use labelling",
        ),
        (
            [make_export_task(1, ("safety", 3), ("safety", 3))],
            "rating 'safety' is given twice; use labelling",
        ),
        ([make_export_task(1, ("safety", 3), item="b7")], "'b7' is no item of a sheet"),
        ([make_export_task(1, ("safety", 3))] * 2, "rater '1' rates item a1 again, first at "),
        ([make_export_task("?", ("safety", 3))], "an annotation without completed_by or result"),
    ],
)
def test_an_invalid_annotation_is_reported_with_its_task(
    tmp_path: Path, tasks: list[Any], line: str
) -> None:
    with pytest.raises(UserError) as error:
        read_file(tmp_path, json.dumps(tasks), "export.json")
    assert error.value.message.startswith(f"{tmp_path}/export.json: task 7: {line}")
    assert "\n" not in error.value.message
