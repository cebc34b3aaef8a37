"""Files with one turn per row give one record per conversation, and every row is accounted for."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.data import source_reading
from lockstep.data.source_report import SourceReport
from tests.data.examples import make_source
from tests.data.test_prepare_params import make_params

Rows = list[dict[str, Any]]
GROUPED = {"conversation": "chat"}
TREE = {"parent": "parent_id"}


def read(folder: Path, rows: list[Any], columns: dict[str, str], **values: Any) -> tuple[
    dict[str, list[tuple[str, str]]], dict[str, str], SourceReport
]:  # fmt: skip
    """Return the turns of each record and the reasons of rejected rows by place, and the report."""
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / "a.jsonl").write_text(f"{text}\n")
    return read_source(folder, path="a.jsonl", columns=columns, **values)


def read_source(folder: Path, **values: Any) -> tuple[
    dict[str, list[tuple[str, str]]], dict[str, str], SourceReport
]:  # fmt: skip
    params = make_params({"format": "turns", **values}, max_rejected_fraction=1.0)
    table, converted, (report,) = source_reading.read_sources(folder, params, 7)
    records = [table.load_record(number) for number in range(len(table))]
    turns = {r.origin: [(m["role"], m["content"]) for m in r.messages] for r in records}
    return turns, {row.origin: row.reason for row in converted.rejected}, report


def make_rows(*turns: tuple[Any, str, str], **values: Any) -> Rows:
    return [{"chat": chat, "role": role, "text": text, **values} for chat, role, text in turns]


RAIN = make_rows((1, "user", "Rain?"), (2, "user", "Sun?"), (1, "bot", "Yes."), (2, "bot", "No."))
RAIN_TURNS = {
    "a.jsonl:1": [("user", "Rain?"), ("assistant", "Yes.")],
    "a.jsonl:2": [("user", "Sun?"), ("assistant", "No.")],
}


def test_rows_of_one_conversation_are_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns, rejected, report = read(tmp_path, RAIN, GROUPED)
    assert turns == RAIN_TURNS and rejected == {} and report.row_count == 2
    assert capsys.readouterr().err.count("turns are in the order of the file") == 1


@pytest.mark.parametrize(
    "order", [[2, 1, 4, 3], ["10", "9", "2", "1.5"], ["2024-05-01T08:00", "2024-05-01"] * 2]
)
def test_turns_have_the_order_of_a_column(tmp_path: Path, order: list[Any]) -> None:
    rows = make_rows(
        (1, "bot", "Yes."), (1, "user", "Rain?"), (2, "bot", "No."), (2, "user", "Sun?")
    )
    rows = [{**row, "when": value} for row, value in zip(rows, order, strict=True)]
    turns, _, _ = read(tmp_path, rows, {**GROUPED, "order": "when"})
    assert [*turns.values()] == [*RAIN_TURNS.values()]


def test_a_usual_column_gives_the_order_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = make_rows((1, "bot", "Yes."), (1, "user", "Rain?"))
    turns, _, _ = read(tmp_path, [{**row, "turn": 2 - i} for i, row in enumerate(rows)], GROUPED)
    assert turns == {"a.jsonl:1": RAIN_TURNS["a.jsonl:1"]}
    assert "turns are in the order of column turn " in capsys.readouterr().err


def test_cells_and_other_names_of_columns(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w") as stream:
        writer = csv.writer(stream)
        writer.writerow(["dialogue_id", "sender", "body", "round", "lang", "mood"])
        writer.writerow([7, "Kundin", "Rain?", 1, "en", "sad"])
        writer.writerow([7, "Beraterin", "Yes.", 1, "en", "glad"])
    turns, _, report = read_source(
        tmp_path,
        path="a.csv",
        columns={"conversation": "dialogue_id", "role": "sender", "content": "body"},
        roles={"Kundin": "user", "Beraterin": "assistant"},
        slices=["lang"],
        where="lang == 'en'",
    )  # fmt: skip
    assert turns == {"a.csv:2": RAIN_TURNS["a.jsonl:1"]}
    assert report.unknown_columns == ["mood"]


NUMBERED = [{**row, "n": number} for number, row in enumerate(RAIN)]
BY_NUMBER = {**GROUPED, "order": "n"}


@pytest.mark.parametrize(
    ("rows", "columns", "reason"),
    [
        (make_rows((None, "user", "Rain?")), GROUPED, "missing_conversation"),
        ([RAIN[0], "{", RAIN[2]], GROUPED, "turn_not_readable"),
        (RAIN[:1], GROUPED, "ends_without_answer"),
        ([{**RAIN[0], "n": "first"}, NUMBERED[2]], BY_NUMBER, "order_not_a_number"),
        ([NUMBERED[0], NUMBERED[0]], BY_NUMBER, "two_turns_of_one_order"),
    ],
)
def test_rows_that_give_no_conversation_are_rejected(
    tmp_path: Path, rows: list[Any], columns: dict[str, str], reason: str
) -> None:
    turns, rejected, _ = read(tmp_path, [*rows, NUMBERED[1], NUMBERED[3]], columns)
    assert rejected["a.jsonl:1"] == reason and [*turns.values()] == [RAIN_TURNS["a.jsonl:2"]]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"parent_id": "nobody"}, "parent_not_found"),
        ({"message_id": None}, "missing_id"),
        ({"message_id": "q2"}, "two_turns_of_one_id"),
    ],
)
def test_a_turn_without_a_place_in_a_tree_is_rejected(
    tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    tree = make_tree()
    turns, rejected, _ = read(tmp_path, [*tree[:-1], {**tree[-1], **values}], TREE)
    assert rejected == {"a.jsonl:7": reason} and len(turns["a.jsonl:1"]) == 4


def test_a_conversation_in_two_files_is_rejected(tmp_path: Path) -> None:
    for name, rows in (("a", RAIN[:3]), ("b", RAIN[3:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    turns, rejected, _ = read_source(tmp_path, path="*.jsonl", columns=GROUPED)
    assert turns == {"a.jsonl:1": RAIN_TURNS["a.jsonl:1"]}
    assert rejected == {"a.jsonl:2": "conversation_in_two_files"}


def make_tree() -> Rows:
    """Return a tree in the flat form of OpenAssistant: a root, two replies, a reply to each."""
    rows = [
        ("q", None, "prompter", "Rain?", None), ("worse", "q", "assistant", "Maybe.", 1),
        ("better", "q", "assistant", "Yes.", 0), ("q2", "better", "prompter", "Sure?", None),
        ("gone", "q2", "assistant", "Bad words.", 0), ("a2", "q2", "assistant", "Quite.", 2),
        ("q3", "worse", "prompter", "Hm?", None),
    ]  # fmt: skip
    return [
        {"message_id": name, "parent_id": parent, "role": role, "text": text,
         "rank": rank, "deleted": name == "gone"}
        for name, parent, role, text, rank in rows
    ]  # fmt: skip


def test_a_tree_gives_its_best_ranked_thread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns, rejected, _ = read(tmp_path, make_tree(), TREE)
    assert turns == {
        "a.jsonl:1": [
            ("user", "Rain?"), ("assistant", "Yes."), ("user", "Sure?"), ("assistant", "Quite."),
        ]
    }  # fmt: skip
    assert rejected == {}
    note = (
        "7 turns: 4 in the best-ranked threads, one of each tree; 3 in other branches, or deleted"
    )
    assert note in capsys.readouterr().err


def test_a_source_of_turns_says_how_they_belong_together() -> None:
    with pytest.raises(ValidationError, match="turns needs conversation"):
        make_source("turns", columns={"content": "text"})
