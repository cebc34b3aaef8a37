"""Second files: answers are joined by id, and functions by class."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.data import source_reading
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.errors import UserError
from tests.data import examples
from tests.data.test_prepare_params import make_params


def read_joined(folder: Path, rows: list[Any], answers: list[Any], **values: Any) -> list[Any]:
    """Return the rows, or the reasons why they were refused, in order."""
    for name, content in (("a.jsonl", rows), ("answers/a.json", answers)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("\n".join(map(json.dumps, content)), encoding="utf-8")
    source = examples.make_source("prompt_completion", **{"answers": "answers/a.json", **values})
    return [
        str(row) if isinstance(row, InvalidRowError) else row
        for _, row in source_reading.read_source(folder, source)
    ]


def test_answers_are_found_by_id_whatever_their_order(tmp_path: Path) -> None:
    rows = [{"id": "q1", "prompt": "One?"}, {"id": 2, "prompt": "Two?"}]
    answers = [{"id": "2", "completion": "2"}, {"id": "q1", "completion": "1"}]
    assert read_joined(tmp_path, rows, answers) == [
        {"id": "q1", "prompt": "One?", "completion": "1"},
        {"id": 2, "prompt": "Two?", "completion": "2"},
    ]


def test_the_column_of_the_id_can_be_named(tmp_path: Path) -> None:
    rows, answers = [{"key": 1, "prompt": "One?"}], [{"key": 1, "completion": "1"}]
    joined = read_joined(tmp_path, rows, answers, columns={"id": "key"})
    assert joined == [{"key": 1, "prompt": "One?", "completion": "1"}]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": "q2", "prompt": "Two?"}, "id_without_answer"),
        ({"prompt": "Two?"}, "missing_id"),
        ({"id": "q1", "completion": "9"}, "two_values_of_column"),
    ],
)
def test_a_row_that_cannot_be_joined_is_refused_by_name(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    assert read_joined(tmp_path, [row], [{"id": "q1", "completion": "1"}]) == [reason]


def test_a_row_that_is_not_json_is_left_to_the_conversion(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "prompt": "One?"}\n{"id": 1,\n')
    (tmp_path / "b.jsonl").write_text('{"id": 1, "completion": "1"}\n')
    source = examples.make_source("prompt_completion", answers="b.jsonl")
    joined, row = (row for _, row in source_reading.read_source(tmp_path, source))
    assert isinstance(joined, dict) and row == '{"id": 1,\n'


def test_answers_without_a_row_are_counted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [{"id": name, "completion": "1"} for name in ("q1", "q2", "q3")]
    (tmp_path / "a.jsonl").write_text('{"id": "q1", "prompt": "One?"}')
    (tmp_path / "b.json").write_text(json.dumps(answers))
    source = {"path": "a.jsonl", "format": "prompt_completion", "answers": "b.json"}
    params = make_params(source)
    source_reading.read_sources(tmp_path, params, 7)
    note = "b.json: no row of a.jsonl has the id of 2 of 3 answers, such as q2"
    assert capsys.readouterr().err.count(note) == 1


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([{"id": 1}, {"id": 1}], "a.json:2: two answers of 1; remove one"),
        ([{"completion": "1"}], "a.json:1: missing_id; each answer needs the column id"),
        ([3], "a.json: begins with '3', which is no row"),
    ],
)
def test_answers_that_cannot_be_told_apart_are_an_error(
    tmp_path: Path, answers: list[Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_joined(tmp_path, [{"id": 1, "prompt": "One?"}], answers)


def test_rows_get_the_functions_of_their_classes(tmp_path: Path) -> None:
    for name in ("lamp", "door"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": f"open_{name}"}) + "\n")
    rows = [
        {"id": 1, "involved_classes": ["Door", "Lamp"]},
        {"id": 2, "involved_classes": ["Car"]},
        {"id": 3, "function": []},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = examples.make_source("bfcl", functions={"Lamp": "lamp.json", "Door": "door.json"})
    first, second, third = (row for _, row in source_reading.read_source(tmp_path, source))
    assert isinstance(first, dict)
    assert first["function"] == [{"name": "open_door"}, {"name": "open_lamp"}]
    assert str(second) == "unknown_class"
    assert third == rows[2]


def test_a_single_answer_that_holds_a_list_is_a_row(tmp_path: Path) -> None:
    answer = {"id": "q1", "ground_truth": [{"f": {"x": [1]}}]}
    joined = read_joined(tmp_path, [{"id": "q1", "prompt": "One?"}], [answer])
    assert joined == [{"prompt": "One?", **answer}]


def test_a_class_of_a_single_function_is_a_row(tmp_path: Path) -> None:
    function = {"name": "ls", "parameters": {"properties": {"all": {}}, "required": ["all"]}}
    (tmp_path / "f.json").write_text(json.dumps(function))
    (tmp_path / "a.jsonl").write_text('{"question": [], "involved_classes": ["F"]}\n')
    source = examples.make_source("bfcl", functions={"F": "f.json"})
    ((_, row),) = source_reading.read_source(tmp_path, source)
    assert isinstance(row, dict) and row["function"] == [function]


def test_answers_may_be_an_object_whose_names_are_the_ids(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"q1": {"completion": "1"}, "q2": {"completion": "2"}}')
    (tmp_path / "b.jsonl").write_text('{"id": "q2", "prompt": "Two?"}\n')
    source = examples.make_source("prompt_completion", path="b.jsonl", answers="a.json")
    ((_, row),) = source_reading.read_source(tmp_path, source)
    assert row == {"id": "q2", "prompt": "Two?", "completion": "2"}
