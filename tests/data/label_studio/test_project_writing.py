"""Records become annotation projects for Label Studio."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from lockstep import records
from lockstep.data.label_studio import project_writing
from lockstep.data.label_studio.__main__ import main
from lockstep.records import Record


def make_record(question: str, answer: str, rejected: str | None = None, **slices: str) -> Record:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Record(
        messages=messages, task="intent", source="a", origin="a:1", slices=slices, rejected=rejected
    )


def test_a_file_without_suitable_records_is_refused(tmp_path: Path) -> None:
    records.write(tmp_path / "test.jsonl", [make_record("question", "yes")])
    (tmp_path / "card.json").write_text("{}")
    for name, options, message in (
        ("card.json", [], "card.json:1: not a record; run `dvc repro`"),
        ("test.jsonl", ["--task", "nope"], "no record of task nope; correct --task"),
    ):
        result = CliRunner().invoke(main, [str(tmp_path / name), str(tmp_path), *options])
        assert result.exit_code == 2 and message in result.output
    assert not (tmp_path / "tasks.json").exists()


def test_tasks_and_their_interface_are_written(tmp_path: Path) -> None:
    answers = ["refund", 'say "hi" & go']
    rows = [make_record(f"question {n}", answers[n % 2], language="en") for n in range(9)]
    records.write(tmp_path / "test.jsonl", rows)
    arguments = [str(tmp_path / "test.jsonl"), str(tmp_path / "out"), "--number", "3"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text("utf-8"))
    assert [task["data"]["record"] for task in tasks] == [rows[n].id for n in (0, 3, 6)]
    assert tasks[1]["predictions"][0]["result"][0]["value"] == {"choices": ['say "hi" & go']}
    view = ElementTree.parse(tmp_path / "out" / "config.xml").getroot()  # noqa: S314  # written here
    assert [choice.get("value") for choice in view.iter("Choice")] == ["refund", 'say "hi" & go']


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        ([make_record(f"q{n}", "ab"[n % 2]) for n in range(6)], "choice"),
        ([make_record("q", '["a","b"]'), make_record("r", '["a"]')], "choices"),
        ([make_record("Bob", '{"person":"Bob"}')], "spans"),
        ([make_record("q", "Yes.", rejected="No.")], "comparison"),
        ([make_record(f"q{n}", f"Reply {n}.") for n in range(6)], "reply"),
    ],
)
def test_the_form_follows_from_the_answers(rows: list[Record], form: str) -> None:
    assert project_writing.guess_form(rows) == form


def test_slots_are_spans_of_the_question() -> None:
    rows = [make_record("Bob and Al in York", '{"person":["Bob","Al"],"place":"York","day":""}')]
    (task,) = project_writing.make_tasks(rows, "spans")
    values = [result["value"] for result in task["predictions"][0]["result"]]
    assert values == [
        {"start": 0, "end": 3, "text": "Bob", "labels": ["person"]},
        {"start": 8, "end": 10, "text": "Al", "labels": ["person"]},
        {"start": 14, "end": 18, "text": "York", "labels": ["place"]},
    ]
    view = ElementTree.fromstring(project_writing.make_interface(rows, "spans"))  # noqa: S314  # written here
    assert [label.get("value") for label in view.iter("Label")] == ["person", "place"]


def test_neither_side_nor_prediction_tells_the_better_answer() -> None:
    rows = [make_record(f"question {n}", "Yes.", rejected="No.") for n in range(20)]
    tasks = project_writing.make_tasks(rows, "comparison")
    sides: list[Any] = [(task["data"]["left"], task["data"]["right"]) for task in tasks]
    assert set(sides) == {("Yes.", "No."), ("No.", "Yes.")}
    assert not any("predictions" in task for task in tasks)


def test_a_comparison_needs_two_answers(tmp_path: Path) -> None:
    records.write(tmp_path / "test.jsonl", [make_record("question", "yes")])
    arguments = [str(tmp_path / "test.jsonl"), str(tmp_path / "out"), "--form", "comparison"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and "has no rejected answer; name another --form" in result.output


def test_a_rejected_answer_with_reasoning_is_shown_as_its_text() -> None:
    row = make_record("question", "Yes.")
    message: Any = {"role": "assistant", "content": "No.", "reasoning_content": "Hm."}
    (task,) = project_writing.make_tasks([replace(row, rejected=message)], "comparison")
    assert {task["data"]["left"], task["data"]["right"]} == {"Yes.", "No."}
