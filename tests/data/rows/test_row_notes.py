"""Rows in which something may be a mistake are learnt, and counted with the first example."""

import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from lockstep.data import source_report
from lockstep.data.source_report import SourceReport
from tests.data.rows.test_learnt_turns import TOOLS, USER, make_call, make_turn
from tests.data.test_source_reading import read, write_rows

CALLS: dict[str, Any] = {"path": "a.jsonl", "format": "messages"}


def list_lines(*reports: SourceReport) -> list[str]:
    return [*source_report.list_notes(reports)]


def write_calls(folder: Path, *arguments: dict[str, Any]) -> None:
    turns = [make_turn(make_call(**values)) for values in arguments]
    write_rows(folder, [{"messages": [USER, turn], "tools": TOOLS} for turn in turns])


def test_mismatched_arguments_are_counted_by_row(tmp_path: Path) -> None:
    write_calls(tmp_path, {"city": "Bern"}, {"days": 1}, {"days": 2, "unit": "C"})
    records, rejected, (report,) = read(tmp_path, CALLS)
    assert len(records) == 3 and not rejected
    assert report.describe()["noted"] == {"missing_argument": 2, "unknown_argument": 1}
    missing, unknown = list_lines(report)
    assert missing == (
        "a.jsonl: 2 rows have missing_argument: they call a function without a required argument; "
        "prepare.mismatched_arguments: reject leaves such rows out "
        "(first a.jsonl:2: get_weather: 'city' is a required property)"
    )
    assert unknown.startswith("a.jsonl: 1 row has unknown_argument: ")


def test_mismatched_arguments_may_be_rejected(tmp_path: Path) -> None:
    write_calls(tmp_path, {"city": "Bern"}, {"days": 1})
    records, rejected, (report,) = read(tmp_path, CALLS, mismatched_arguments="reject")
    assert rejected == {"a.jsonl:2": "missing_argument"}
    assert len(records) + len(rejected) == report.row_count == 2
    assert "noted" not in report.describe() and list_lines(report) == []


@pytest.mark.parametrize("mismatched_arguments", ["note", "reject"])
def test_the_test_of_a_benchmark_is_only_noted(tmp_path: Path, mismatched_arguments: str) -> None:
    function = {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}}}
    row = {"question": "?", "function": [function], "ground_truth": [{"add": {"b": [1]}}]}
    write_rows(tmp_path, [row, row | {"ground_truth": [{"sub": {"a": [1]}}]}])
    source = {"format": "bfcl", "split": "test"}
    _, rejected, (report,) = read(tmp_path, source, mismatched_arguments=mismatched_arguments)
    assert report.noted == {"undeclared_function": 1, "unknown_argument": 1} and not rejected
    _, rejected, _ = read(tmp_path, source | {"split": "train"})
    assert rejected == {"a.jsonl:2": "undeclared_function"}


def test_negative_margins_are_counted_by_row(tmp_path: Path) -> None:
    pair = {"prompt": "Hi", "chosen": "Hello", "rejected": ["Bye", "No"], "score_chosen": 1}
    rows = [pair | {"score_rejected": scores} for scores in ([0, 0.5], [2, 3], [0, 1.5])]
    write_rows(tmp_path, [{**row, "prompt": f"Hi {n}"} for n, row in enumerate(rows)])
    _, _, (report,) = read(tmp_path, {"format": "preference"})
    assert report.noted == {"negative_margin": 2}
    assert list_lines(report)[0].endswith("(first a.jsonl:2: the margin is -1)")


PLACEHOLDERS = ["nan", "NaN", "None", "null", "N/A", "<noinput>"]
"""Texts that pandas, databases, spreadsheets and Self-Instruct write for a missing value."""


def test_texts_of_missing_cells_are_counted(tmp_path: Path) -> None:
    lines = [f"Say {number},{text},yes" for number, text in enumerate(PLACEHOLDERS)]
    text = "\n".join(["instruction,input,output", *lines, "Say 7,nano,none of them", ""])
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    records, _, (report,) = read(tmp_path, {"path": "a.csv", "format": "alpaca"})
    assert len(records) == 7  # learnt, since a text may really be none
    assert report.describe()["noted"] == {"absent_input": 1, "placeholder_text": 5}
    _, line = list_lines(report)
    assert line.startswith("a.csv: 5 rows have placeholder_text: ")
    assert line.endswith("(first a.csv:2: input is nan)")


def test_cells_of_a_spreadsheet_are_counted(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.create_sheet("Rows", 0)
    for row in (["text", "label"], ["Hi", "greet"], ["Hello", "None"]):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    _, _, (report,) = read(tmp_path, {"path": "a.xlsx", "format": "classification"})
    assert report.noted == {"placeholder_text": 1}


def test_named_columns_and_templates_are_text_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ask,more,reply,mood\na,nan,b,x\nc,d,e,nan\n")
    source = {"path": "a.csv", "format": "prompt_completion", "columns": {"completion": "reply"}}
    _, _, (report,) = read(tmp_path, source | {"templates": {"prompt": "{ask} {more}"}})
    assert report.first_noted == {"placeholder_text": "a.csv:2: more is nan"}
    assert report.noted.total() == 1  # nothing reads mood


def test_a_text_of_json_is_one_since_json_has_null(tmp_path: Path) -> None:
    rows = [{"prompt": "Which?", "completion": "None"}, {"prompt": "<noinput>", "completion": "a"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    _, _, (report,) = read(tmp_path, {"format": "prompt_completion"})
    assert report.first_noted == {"placeholder_text": "a.jsonl:2: prompt is <noinput>"}


@pytest.mark.parametrize("text", ["<noinput>", "无输入", "（无输入）", "No input.", "<No Input>"])
def test_an_input_that_says_there_is_none_is_left_out_and_counted(
    tmp_path: Path, text: str
) -> None:
    write_rows(tmp_path, [{"instruction": "Sing.", "input": text, "output": "La"}])
    (record,), _, (report,) = read(tmp_path, {"format": "alpaca"})
    assert record.messages[0]["content"] == "Sing."
    assert report.noted == {"absent_input": 1}
    assert list_lines(report)[0].endswith(f"(first a.jsonl:1: input is {text})")


@pytest.mark.parametrize("text", ["无", "N/A", "None"])
def test_an_input_that_may_stand_for_none_is_learnt_and_counted(tmp_path: Path, text: str) -> None:
    rows = [{"instruction": "Sing.", "input": text, "output": "La"}]
    write_rows(tmp_path, [*rows, {"instruction": "Hum.", "input": "no input here", "output": "m"}])
    (record, _), _, (report,) = read(tmp_path, {"format": "alpaca"})
    assert record.messages[0]["content"] == f"Sing.\n{text}"
    assert report.noted == {"placeholder_text": 1}


def test_an_answer_that_says_there_is_none_is_counted(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"instruction": "Sing.", "output": "<nooutput>"}])
    assert read(tmp_path, {"format": "alpaca"})[2][0].noted == {"placeholder_text": 1}


def test_inputs_beside_the_question_that_nothing_reads_are_counted(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "1 2", "output": "3"},
        {"instruction": "Add 1 to 2.", "input": "", "output": "3"},
        {"instruction": "Say 5 and 6.", "input": "5 and 6", "output": "ok"},
        {"instruction": "Sing.", "input": "<noinput>", "output": "La"},
    ]
    write_rows(tmp_path, rows)
    source = {"format": "prompt_completion"}
    columns = {"columns": {"prompt": "instruction", "completion": "output"}}
    _, _, (report,) = read(tmp_path, source | columns)
    assert report.noted == {"unread_input": 1}
    assert report.first_noted == {"unread_input": 'a.jsonl:1: input is "1 2"'}
    for remedy in (
        {"format": "alpaca"},
        source | columns | {"ignored_fields": ["input"]},
        source
        | {"columns": {"completion": "output"}, "templates": {"prompt": "{instruction} {input}"}},
    ):  # fmt: skip
        assert "unread_input" not in read(tmp_path, remedy)[2][0].noted
