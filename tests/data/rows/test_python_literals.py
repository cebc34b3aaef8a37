"""Cells in which pandas wrote lists and dicts in Python's notation."""

import csv
from pathlib import Path
from typing import Any

import pytest

from lockstep.data import source_reading, source_report
from lockstep.data.rows import python_literals
from tests.data.rows.test_row_formats import make_turns
from tests.data.test_prepare_params import make_params

TURNS = make_turns("It's raining?", 'So they "say", None knows.')
TOOLS = [{"name": "weather", "parameters": None, "strict": True}]
Result = tuple[list[list[str]], list[str], list[str]]


def read(folder: Path, row: dict[str, Any], **source: Any) -> Result:
    """Return the texts of the records, the reasons of the rejected rows, and the notes."""
    with (folder / "a.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*row])
        writer.writeheader()
        writer.writerows([{name: str(value) for name, value in row.items()}] * 2)
    params = make_params({"path": "a.csv", **source}, max_rejected_fraction=1.0)
    table, converted, reports = source_reading.read_sources(folder, params, 7)
    records = [table.load_record(number) for number in range(len(table))]
    texts = [[message["content"] for message in record.messages] for record in records]
    reasons = [row.reason for row in converted.rejected]
    return texts, reasons, [*source_report.list_notes(reports)]


def note(column: str) -> str:
    return f"a.csv: 2 cells of {column} are in Python's notation, not JSON"


def test_turns_and_tools_are_read_with_a_note(tmp_path: Path) -> None:
    row = {"messages": TURNS, "tools": TOOLS}
    texts, reasons, notes = read(tmp_path, row, format="messages")
    assert texts == [[turn["content"] for turn in TURNS]] * 2 and not reasons
    assert notes == [note("messages"), note("tools")]


def test_labels_and_preferences_are_read(tmp_path: Path) -> None:
    labels = {"text": "Hi", "labels": ["it's", "b"]}
    assert read(tmp_path, labels, format="multi_label")[0] == [["Hi", '["b","it\'s"]']] * 2
    pair = {"chosen": TURNS, "rejected": make_turns("It's raining?", "No.")}
    texts, _, notes = read(tmp_path, pair, format="preference")
    assert texts[0][-1] == TURNS[-1]["content"]
    assert notes == [note("chosen"), note("rejected")]


def test_a_text_that_looks_like_a_list_stays_a_text(tmp_path: Path) -> None:
    row = {"prompt": "['a', 'b']", "completion": "{'c': 1}"}
    texts, _, notes = read(tmp_path, row, format="prompt_completion")
    assert texts == [["['a', 'b']", "{'c': 1}"]] * 2 and notes == []


@pytest.mark.parametrize(
    "cell", ["['a' 'b']", "['a'\n 'b' 'c']", "array(['a', 'b'], dtype=object)"]
)
def test_arrays_that_numpy_prints_are_refused_by_name(tmp_path: Path, cell: str) -> None:
    cell = cell if cell.startswith("[") else f"[{cell}]"
    row = {"text": "Hi", "labels": cell}
    texts, reasons, _ = read(tmp_path, row, format="multi_label")
    assert texts == [] and reasons == ["labels_printed_by_numpy"] * 2
    turns = {
        "messages": "[{'role': 'user', 'content': 'a'}\n {'role': 'assistant', 'content': 'b'}]"
    }
    assert read(tmp_path, turns, format="messages")[1] == ["messages_printed_by_numpy"] * 2


@pytest.mark.parametrize(
    "text", ["[nan]", "[open('a')]", "{'a': 1, 'a': 2}", "[...]", "[{1, 2}]", "[b'a']", "[1"]
)
def test_what_has_no_equal_in_json_is_no_literal(text: str) -> None:
    with pytest.raises(ValueError, match="no literal with an equal in JSON"):
        python_literals.parse_literal(text)
