"""Unknown and missing columns are named, with the field or column that was probably meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.data.rows.column_names import (
    describe_missing_columns,
    describe_unknown_columns,
    find_missing_columns,
    find_unknown_columns,
)
from tests.data.examples import make_source
from tests.data.test_source_reading import find_error


def describe_unknown(names: list[str], format: str, **settings: Any) -> str:
    source = make_source(format, **settings)
    unknown = find_unknown_columns(names, source)
    return describe_unknown_columns(unknown, names, source) if unknown else ""


def describe_missing(names: list[str], format: str, **settings: Any) -> str:
    source = make_source(format, **settings)
    missing = find_missing_columns(names, source.needed_columns)
    return describe_missing_columns(missing, names, source)


def test_columns_that_a_setting_reads_are_known() -> None:
    settings: dict[str, Any] = {
        "columns": {"prompt": "q", "completion": "answers.text.0"},
        "slices": ["meta.lang"],
        "constants": {"origin": "web"},
        "where": 'column("odd name") == 1 or rating > 1',
        "templates": {"system": "You are {persona}."},
    }
    columns = ["q", "answers", "meta", "origin", "odd name", "rating", "persona", "tools"]
    assert describe_unknown(columns, "prompt_completion", **settings) == ""
    assert "spare" in describe_unknown([*columns, "spare"], "prompt_completion", **settings)


@pytest.mark.parametrize(
    ("columns", "format", "line"),
    [
        (["instruction", "output", "inptu"], "alpaca", "inptu (did you mean input?)"),
        (["instruction", "output", "id", "context"], "alpaca", "context (did you mean input?)"),
        (["text", "label", "labels"], "classification", "labels"),
        (["text", "label", "group"], "classification",
         "group (to read it, set columns: {group: group})"),
    ],
)  # fmt: skip
def test_unknown_columns_are_named_with_the_nearest_field(
    columns: list[str], format: str, line: str
) -> None:
    assert describe_unknown(columns, format) == f"columns that nothing reads: {line}"


def test_many_unknown_columns_are_shortened() -> None:
    columns = ["text", "label", *(f"feature_{number:02}" for number in range(40))]
    line = describe_unknown(columns, "classification")
    assert line.endswith("feature_07 … and 32 more") and "feature_08" not in line


@pytest.mark.parametrize(
    ("columns", "format", "settings", "line"),
    [
        (["question", "answer"], "prompt_completion", {},
         "no columns prompt, completion; it has question, answer: "
         "set columns: {prompt: question, completion: answer} in prepare.sources"),
        (["Text", "outptu", "label"], "classification", {"columns": {"label": "lable"}},
         "no columns text, lable; it has Text, outptu, label: "
         "set columns: {text: Text, label: label} in prepare.sources"),
        (["a", "b"], "text", {},
         "no column text; it has a, b: correct columns or slices in prepare.sources"),
        (["ask", "answer"], "prompt_completion",
         {"templates": {"prompt": "{asks}"}, "columns": {"completion": "answer"}},
         "no column asks; it has ask, answer: write ask for asks in prepare.sources"),
    ],
)  # fmt: skip
def test_missing_columns_are_named_with_the_repair(
    columns: list[str], format: str, settings: dict[str, Any], line: str
) -> None:
    assert describe_missing(columns, format, **settings) == line


def test_a_nested_column_needs_the_column_that_it_leads_into() -> None:
    assert find_missing_columns(["meta", "a.b"], ["meta.lang", "a.b", "x.y"]) == ["x.y"]


@pytest.mark.parametrize(
    ("format", "settings", "columns"),
    [
        ("prompt_completion", {"answers": "a.jsonl"}, ["id"]),
        ("classification", {"answers": "a.jsonl", "columns": {"id": "number"}}, ["number"]),
        ("bfcl", {}, ["id"]),
        ("ifeval", {}, ["key"]),
        ("label_studio", {}, [
            "id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "$answer",
            "$rejected", "$group",
        ]),
    ],
)  # fmt: skip
def test_columns_that_a_format_or_a_join_brings_are_known(
    format: str, settings: dict[str, Any], columns: list[str]
) -> None:
    assert describe_unknown(columns, format, **settings) == ""
    unknown = describe_unknown([*columns, "mood"], format, **settings)
    assert unknown == "columns that nothing reads: mood"
    assert describe_unknown(columns, "multi_label") != ""


def test_an_id_that_nothing_joins_has_no_hint() -> None:
    columns = ["text", "label", "id", "task"]
    assert describe_unknown(columns, "classification") == (
        "columns that nothing reads: task (to read it, set columns: {task: task}), id"
    )


def test_a_benchmark_whose_answers_are_in_a_second_file_names_the_setting() -> None:
    message = describe_missing(["id", "question", "function"], "bfcl")
    assert message.startswith("no column ground_truth; it has id, question, function: set answers ")
    assert "possible_answer/NAME.json" in message


def test_columns_without_names_are_shown_with_their_first_values(tmp_path: Path) -> None:
    """CLINC150 has arrays of a text and its label, LCCC arrays of alternating texts."""
    rows = [["where is my parcel", "parcel"], ["bye", "end"]]
    (tmp_path / "a.json").write_text(json.dumps({"train": rows, "val": rows}))
    source = {"path": "a.json", "format": "classification"}
    assert find_error(tmp_path, source).endswith(
        'a.json: no columns text, label; it has 0 ("where is my parcel"), 1 ("parcel"): '
        "set columns: {text: '0', label: '1'} in prepare.sources"
    )
    assert find_error(tmp_path, source | {"format": "messages"}).endswith(
        "set columns: {messages: row} in prepare.sources"
    )
    assert "set columns, such as {text: '0'}" in find_error(tmp_path, source | {"format": "text"})
    turned = [[label, text] for text, label in rows]
    (tmp_path / "a.json").write_text(json.dumps(turned))
    assert "set columns: {text: '1', label: '0'}" in find_error(tmp_path, source)


def test_a_nameless_column_after_a_text_may_go_on_with_it() -> None:
    source = make_source("classification", path="a.csv")
    names = ["text", "label", "Unnamed: 0", "Unnamed: 2", "Unnamed: 3"]
    line = describe_unknown_columns(find_unknown_columns(names, source), names, source)
    remark = "if it goes on with the text before it, set extra_cells: join"
    assert line == f"columns that nothing reads: Unnamed: 2 ({remark}), Unnamed: 0, Unnamed: 3"
