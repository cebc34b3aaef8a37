"""A grading form for records is written, filled in and read again."""

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from click.testing import CliRunner

from lockstep import records
from lockstep.data import grades
from lockstep.human import grading_form
from lockstep.records import Record


def make_record(n: int, **values: Any) -> Record:
    messages = [
        {"role": "user", "content": f"Where is order {n}?"},
        {"role": "assistant", "content": "On its way."},
    ]
    return Record(messages=messages, task="reply", source="a", origin=f"a:{n}", **values)


def write_form(folder: Path, *options: str, rows: int = 6) -> Any:
    records.write(folder / "train.jsonl", [make_record(n) for n in range(rows)])
    arguments = [str(folder / "train.jsonl"), str(folder / "form"), *options]
    return CliRunner().invoke(grading_form.main, arguments)


def test_the_form_has_sheets_tasks_and_an_interface(tmp_path: Path) -> None:
    assert write_form(tmp_path, "--number", "3", "--graders", "1").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "form").iterdir()) == [
        "labelling.xml", "sheet-1.csv", "tasks.json",
    ]  # fmt: skip
    tasks = json.loads((tmp_path / "form" / "tasks.json").read_text("utf-8"))
    codes = [grades.make_code(make_record(n)) for n in (0, 2, 4)]
    assert [task["data"]["item"] for task in tasks] == codes
    view = ElementTree.parse(tmp_path / "form" / "labelling.xml").getroot()  # noqa: S314  # written here
    assert [tag.get("name") for tag in view.iter("Rating")] == ["correct", "complete", "consistent"]


def test_a_filled_sheet_gives_the_grades_of_its_records(tmp_path: Path) -> None:
    assert write_form(tmp_path).exit_code == 0
    for grader, grade in (("1", 4), ("2", 5)):
        path = tmp_path / "form" / f"sheet-{grader}.csv"
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = csv.reader(stream)
        with path.open("w", encoding="utf-8-sig", newline="") as stream:
            filled = [[*row[:3], str(grade), "3", "", row[-1]] for row in rows]
            csv.writer(stream).writerows([header, *filled])
    entries = grades.read_entries(tmp_path / "form", ["sheet-1.csv", "sheet-2.csv"])
    means = grades.average_entries(entries)
    assert means[grades.make_code(make_record(5))] == {"correct": 4.5, "complete": 3}


def test_a_conversation_and_a_worse_answer_are_shown() -> None:
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "Here."},
    ]
    record = Record(messages=turns, task="t", source="a", origin="a:1", rejected="No.")
    item = grading_form.make_item(record)
    assert item.question == "user: Hello\nassistant: Hello!\nuser: Where is it?"
    assert item.answer == "better: Here.\nworse: No."


def test_an_existing_folder_and_an_unknown_task_are_refused(tmp_path: Path) -> None:
    assert "no record of task nope; correct --task" in write_form(tmp_path, "--task", "nope").output
    (tmp_path / "form").mkdir()
    result = write_form(tmp_path)
    assert result.exit_code == 2 and "may hold grades; move it away" in result.output
