"""Tables are read as spreadsheets and databases of any locale write them, and guesses are noted."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data import file_reading
from lockstep.data.file_reading import Columns
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError
from tests.data.files.reading import check, read, write

ROWS = [("hello, there", "greeting"), ("good; bye", "farewell")]


def dump(rows: Any, **settings: Any) -> str:
    text = io.StringIO()
    csv.writer(text, **settings).writerows(rows)
    return text.getvalue()


def read_pairs(file: Path, **settings: Any) -> tuple[list[tuple[str, str]], str]:
    rows, notes = read(file, **settings)
    return [(row["text"], row["label"]) for _, row in rows], notes


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_delimiter_is_guessed_with_a_note_or_set(tmp_path: Path, delimiter: str) -> None:
    file = write(tmp_path, "a.csv", dump([("text", "label"), *ROWS], delimiter=delimiter))
    note = f"cells are separated by {delimiter!r} (guessed; delimiter sets it)"
    assert read_pairs(file) == (ROWS, note)
    assert read_pairs(file, delimiter=delimiter) == (ROWS, "")
    assert read_pairs(write(tmp_path, "a.tsv", file.read_bytes()), delimiter=delimiter)[0] == ROWS


def test_the_delimiter_that_is_set_is_used(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "text,label\na,b\n")
    with pytest.raises(UserError, match="no columns text, label; it has text,label"):
        check(file, delimiter=";")


def test_a_comma_in_a_name_is_no_reason_to_guess(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", 'text,label,"a;b;c"\nx,y,z\n')
    assert read_pairs(file) == ([("x", "y")], "")


def test_excel_names_its_delimiter(tmp_path: Path) -> None:
    text = "sep=;\r\n" + dump([("text", "label"), *ROWS], delimiter=";")
    rows, notes = read(write(tmp_path, "a.csv", text))
    assert [place for place, _ in rows] == ["3", "4"] and notes == ""


def test_single_quotes_are_guessed_or_set(tmp_path: Path) -> None:
    text = dump([("text", "label"), *ROWS], quotechar="'", quoting=csv.QUOTE_ALL)
    file = write(tmp_path, "a.csv", text)
    assert read_pairs(file) == (ROWS, "cells are quoted by ' (guessed; quote sets it)")
    assert read_pairs(file, quote="'") == (ROWS, "")


def test_an_apostrophe_is_no_quote(tmp_path: Path) -> None:
    rows = [("'tis late", "no"), ("rock 'n' roll", "'yes'")]
    file = write(tmp_path, "a.csv", dump([("text", "label"), *rows]))
    assert read_pairs(file) == (rows, "")


def test_a_file_without_quoting_is_read_if_quote_is_none(tmp_path: Path) -> None:
    file = write(tmp_path, "a.tsv", 'text\tlabel\n"so it begins\tquote\nx\ty\n')
    with pytest.raises(UserError, match=":2: a quote that opens here does not close before line 3"):
        read(file)
    assert read_pairs(file, quote="none")[0] == [('"so it begins', "quote"), ("x", "y")]


def test_repeated_headers_and_marks_inside_are_left_out(tmp_path: Path) -> None:
    part = "text,label\r\nhi,a\r\n"
    file = write(tmp_path, "a.csv", f"{part}\ufeff{part}text,label\r\n\ufeffyo,b\r\n")
    rows, notes = read(file)
    assert [(place, row["text"]) for place, row in rows] == [("2", "hi"), ("4", "hi"), ("6", "yo")]
    assert notes.splitlines() == [
        "2 repeated header rows are left out",
        "2 byte order marks inside the file are left out",
    ]


def test_a_backslash_before_a_quote_is_an_escape(tmp_path: Path) -> None:
    text = (
        'text,label\n"she said \\"hi, you\\" to me",greeting\n'
        '"two\nlines \\"in\nthree\\"",b\n"C:\\",c\n"a ""real"" one \\n",d\n'
    )
    rows, notes = read(write(tmp_path, "a.csv", text))
    assert [(place, row["text"]) for place, row in rows] == [
        ("2", 'she said "hi, you" to me'),
        ("3", 'two\nlines "in\nthree"'),
        ("6", "C:\\"),
        ("7", 'a "real" one \\n'),
    ]
    assert notes == r"2 rows have \" for a quote in a cell, and are read so"


def test_python_s_own_escapes_are_read(tmp_path: Path) -> None:
    rows = [('say "a", "b"', "x"), ("plain", "y")]
    text = dump([("text", "label"), *rows], doublequote=False, escapechar="\\")
    assert read_pairs(write(tmp_path, "a.csv", text))[0] == rows


def test_empty_columns_at_the_end_are_no_columns(tmp_path: Path) -> None:
    rows, _ = read(write(tmp_path, "a.csv", "text,label,,\nhi,a,,\nyo,b\nno,c,,lost\n"))
    assert [row for _, row in rows] == [
        {"text": "hi", "label": "a"}, {"text": "yo", "label": "b"}, "wrong_number_of_cells",
    ]  # fmt: skip


SPAM = 'v1,v2,,,\r\nham,"Wait, for ya",,,\r\nspam,"Win"," now!","  call",\r\nham,ok,,,\r\n'
"""Kaggle's table of SMS: texts go on in columns without a name."""


def read_texts(file: Path, **settings: Any) -> tuple[list[str], str]:
    settings = {"columns": {"label": "v1", "text": "v2"}, **settings}
    rows, notes = read(file, **settings)
    return [row if isinstance(row, str) else row["v2"] for _, row in rows], notes


def test_cells_without_a_column_join_the_text_before_them(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", SPAM)
    assert read_texts(file) == (["Wait, for ya", "wrong_number_of_cells", "ok"], "")
    texts, notes = read_texts(file, extra_cells="join")
    assert texts == ["Wait, for ya", "Win, now!,  call", "ok"]
    assert notes == "rows whose extra cells are joined to v2: 1"
    names = "v1,v2,Unnamed: 2,Unnamed: 3,Unnamed: 4"  # as pandas writes the same table
    file = write(tmp_path, "b.csv", SPAM.replace("v1,v2,,,", names))
    assert read_texts(file, extra_cells="join")[0] == texts
    assert read_texts(file) == (["Wait, for ya", "Win", "ok"], "")
    slices = {"slices": ["Unnamed: 2"]}  # a column that a setting names is one
    assert read_texts(file, extra_cells="join", **slices)[0][1] == "Win"


def test_texts_that_nobody_quoted_are_joined_as_they_were(tmp_path: Path) -> None:
    lines = ["ham;Hello; you", "ham;Yes;", "spam;Win", "ham"]
    file = write(tmp_path, "a.csv", "\n".join(["v1;v2", *lines, ""]))
    settings = {"extra_cells": "join", "delimiter": ";"}
    assert read_texts(file, **settings)[0] == [
        "Hello; you", "Yes;", "Win", "wrong_number_of_cells",
    ]  # fmt: skip
    bare = write(tmp_path, "b.csv", "\n".join(["ham;Hi", *lines, ""]))
    rows, _ = read(bare, header=False, columns={"label": "0", "text": "1"}, **settings)
    assert rows[1] == ("2", {"0": "ham", "1": "Hello; you"})


def test_extra_cells_name_the_setting_that_reads_them(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", SPAM)
    rows = file_reading.read_rows(file, "utf-8", Columns(required=(), used=()))
    (error,) = (row for _, row in rows if isinstance(row, InvalidRowError))
    assert error.detail.endswith("or set extra_cells: join if they belong to v2")


def test_a_nameless_column_is_called_as_pandas_does(tmp_path: Path) -> None:
    """DataFrame.to_csv writes the index under a blank name, and read_csv calls it Unnamed: 0."""
    ((_, row),), _ = read(write(tmp_path, "a.csv", ",text,label\n0,a,b\n"))
    assert row == {"Unnamed: 0": "0", "text": "a", "label": "b"}


def test_blanks_around_a_name_are_left_out(tmp_path: Path) -> None:
    assert read_pairs(write(tmp_path, "a.csv", "text, label \na,b\n")) == ([("a", "b")], "")


def test_a_last_row_without_a_line_end_may_be_cut(tmp_path: Path) -> None:
    rows, notes = read_pairs(write(tmp_path, "a.csv", "text,label\na,b\nc,d"))
    assert rows == [("a", "b"), ("c", "d")]
    assert notes == "no line end after the last row, which may be cut off"
    with pytest.raises(UserError, match=r":2: a quote that opens here does not close"):
        read(write(tmp_path, "a.csv", 'text,label\na,"b\nc,d'))


def test_decimal_commas_of_a_semicolon_table_are_numbers(tmp_path: Path) -> None:
    text = "text;value;note\n1,5 stars;4,5;1,5\nhalf;0.5;x\n"
    rows, notes = read(write(tmp_path, "a.csv", text), "regression")
    assert [row for _, row in rows] == [
        {"text": "1,5 stars", "value": "4.5", "note": "1,5"},
        {"text": "half", "value": "0.5", "note": "x"},
    ]
    assert "1 numbers have a decimal comma" in notes


def test_line_ends_inside_cells_stay_and_old_macintosh_files_are_read(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", 'text,label\r\n"one\r\ntwo",a\r\n')
    assert read_pairs(file)[0] == [("one\r\ntwo", "a")]
    assert read_pairs(write(tmp_path, "b.csv", "text,label\rx,y\rz,w\r"))[0] == [
        ("x", "y"), ("z", "w"),
    ]  # fmt: skip


CELLS = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1), st.sampled_from(",;\t|"))
def test_what_csv_writes_is_read_back(rows: list[tuple[str, str]], delimiter: str) -> None:
    import tempfile

    text = dump([("text", "label"), *rows], delimiter=delimiter, quoting=csv.QUOTE_ALL)
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder), "a.csv", text)
        expected = [row for row in rows if row != ("text", "label")]
        assert read_pairs(file, delimiter=delimiter, quote='"')[0] == expected


def test_a_table_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    text = '"3","a, b","one\ntwo"\r\n"0","1","2"\r\n"3","a, b","one\ntwo"\r\n"4","\\"c, d\\"","x"\n'
    rows, notes = read(write(tmp_path, "a.csv", text), header=False)
    first = {"0": "3", "1": "a, b", "2": "one\ntwo"}
    last = {"0": "4", "1": '"c, d"', "2": "x"}
    assert rows == [("1", first), ("3", {"0": "0", "1": "1", "2": "2"}), ("4", first), ("6", last)]
    assert "repeated header" not in notes


@pytest.mark.parametrize("title", ["Report 2024,\n", "Report 2024\n", "Report 2024\n\n"])
def test_a_title_above_the_header_is_left_out_with_a_note(tmp_path: Path, title: str) -> None:
    rows, notes = read(write(tmp_path, "a.csv", f"{title}text,label\nhi,a\ntext,label\n"))
    line = title.count("\n") + 2
    assert rows == [(str(line), {"text": "hi", "label": "a"})]
    assert "rows above the header are left out: 1, the first is 'Report 2024'" in notes


def test_a_table_whose_header_is_nowhere_keeps_its_first_row(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, "a.csv", "ask,label\nhi,a\nyo,b\n"))
    assert rows[0] == ("2", {"ask": "hi", "label": "a"}) and notes == ""


def test_characters_of_no_width_are_no_part_of_a_name(tmp_path: Path) -> None:
    text = "\u200btext\u200b,la\u2060bel\u200e\nhi,a\n"
    rows, _ = read(write(tmp_path, "a.csv", text))
    assert rows == [("2", {"text": "hi", "label": "a"})]
