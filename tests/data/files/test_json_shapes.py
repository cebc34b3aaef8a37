"""The rows of a JSON file are found in every common shape, or one line says where to look."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from tests.data.files.reading import check, read, write

ROWS = [{"text": "hello there", "label": "greeting"}, {"text": "good bye", "label": "farewell"}]
PAIRS = [list(row.values()) for row in ROWS]

SHAPES: dict[str, tuple[str, str]] = {
    "array": (json.dumps(ROWS), ""),
    "pandas, orient=columns": (
        '{"text":{"0":"hello there","1":"good bye"},"label":{"0":"greeting","1":"farewell"}}',
        "is an object of columns: text, label",
    ),
    "pandas, orient=columns with an index": (
        '{"text":{"a":"hello there","b":"good bye"},"label":{"a":"greeting","b":"farewell"}}',
        "is an object of columns: text, label",
    ),
    "pandas, orient=split": (
        '{"columns":["text","label"],"index":[0,1],'
        '"data":[["hello there","greeting"],["good bye","farewell"]]}',
        "is a table of columns and data",
    ),
    "pandas, orient=table": (
        '{"schema":{"fields":[{"name":"index","type":"integer"},{"name":"text","type":"string"},'
        '{"name":"label","type":"string"}],"primaryKey":["index"],"pandas_version":"1.4.0"},'
        '"data":[{"index":0,"text":"hello there","label":"greeting"},'
        '{"index":1,"text":"good bye","label":"farewell"}]}',
        "is an object; data are read; schema not (rows selects)",
    ),
    "pandas, orient=index": (
        '{"0":{"text":"hello there","label":"greeting"},'
        '"1":{"text":"good bye","label":"farewell"}}',
        "is an object of 2 rows; their names can be read as column id",
    ),
    "columns": (
        json.dumps({k: [row[k] for row in ROWS] for k in ("text", "label")}),
        "is an object of columns: text, label",
    ),
    "named": (
        json.dumps({"q1": ROWS[0], "q2": ROWS[1]}, indent=2),
        "is an object of 2 rows; their names can be read as column id",
    ),
    "splits": (
        json.dumps({"train": ROWS[:1], "test": ROWS[1:], "dev": []}),
        "is an object; train, test, dev are read (rows selects)",
    ),
    "wrapper": (
        json.dumps({"version": "1.0", "data": ROWS}, indent=1),
        "is an object; data are read; version not (rows selects)",
    ),
    "wrapper with other arrays": (
        json.dumps({"labels": ["a"], "authors": [{"name": "A"}], "items": ROWS}),
        "is an object; items are read; labels, authors not (rows selects)",
    ),
    "header": (
        json.dumps([["text", "label"], *PAIRS]),
        "rows are arrays; the first one has the names of the columns",
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_rows(tmp_path: Path, shape: str) -> None:
    text, note = SHAPES[shape]
    rows, notes = read(write(tmp_path, "a.json", text))
    assert [{k: row[k] for k in ("text", "label")} for _, row in rows] == ROWS
    assert notes == note


def test_places_name_the_split_or_the_line(tmp_path: Path) -> None:
    splits, _ = read(write(tmp_path, "a.json", SHAPES["splits"][0]))
    assert [place for place, _ in splits] == ["train:1", "test:1"]
    named, _ = read(write(tmp_path, "b.json", SHAPES["named"][0]))
    assert [place for place, _ in named] == ["2", "6"]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_rows_as_arrays_have_columns_by_position(tmp_path: Path, name: str) -> None:
    lines = "\n".join(map(json.dumps, PAIRS))
    text = json.dumps(PAIRS) if name == "a.json" else lines
    rows, notes = read(write(tmp_path, name, text), columns={"text": "0", "label": "1"})
    assert [(row["0"], row["1"]) for _, row in rows] == [tuple(pair) for pair in PAIRS]
    assert notes == "rows are arrays; their columns are called 0, 1, … (set columns)"


def test_columns_by_position_must_be_named(tmp_path: Path) -> None:
    for name, text in (("a.json", json.dumps(PAIRS)), ("a.jsonl", json.dumps(PAIRS[0]))):
        with pytest.raises(UserError, match=r"no columns text, label; it has 0 \("):
            check(write(tmp_path, name, text))


def test_splits_of_arrays_are_read_together_or_one_by_one(tmp_path: Path) -> None:
    file = write(tmp_path, "a.json", json.dumps({"train": PAIRS, "test": PAIRS[:1]}))
    columns = {"text": "0", "label": "1"}
    assert len(read(file, columns=columns)[0]) == 3
    rows, _ = read(file, columns=columns, rows="test")
    assert [row for _, row in rows] == [{"0": "hello there", "1": "greeting"}]


def test_an_array_row_is_also_one_column(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    file = write(tmp_path, "a.json", json.dumps([turns]))
    ((_, row),), _ = read(file, "messages", columns={"messages": "row"})
    assert row["row"] == turns


@pytest.mark.parametrize("name", ["id", "split"])
def test_a_name_is_a_column_if_it_is_used_and_free(tmp_path: Path, name: str) -> None:
    content = {"a": ROWS[0], "b": ROWS[1]} if name == "id" else {"a": ROWS[:1], "b": ROWS[1:]}
    file = write(tmp_path, "a.json", json.dumps(content))
    assert [name in row for _, row in read(file)[0]] == [False, False]
    assert [row[name] for _, row in read(file, columns={"task": name})[0]] == ["a", "b"]
    text = json.dumps(content).replace('"label"', f'"{name}": "own", "label"')
    rows, _ = read(write(tmp_path, "b.json", text), columns={"task": name})
    assert [row[name] for _, row in rows] == ["own", "own"]


TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


@pytest.mark.parametrize(
    ("format", "row"),
    [
        ("messages", {"messages": TURNS}),
        ("messages", {"messages": TURNS, "tools": []}),
        ("multi_label", {"text": "a", "labels": ["x", "y"]}),
        ("preference", {"prompt": TURNS[:1], "chosen": TURNS[1:], "rejected": TURNS[1:]}),
        ("preference", {"prompt": TURNS[0], "chosen": TURNS[1], "rejected": TURNS[1]}),
    ],
)  # fmt: skip
def test_a_single_object_is_a_row(tmp_path: Path, format: str, row: dict[str, Any]) -> None:
    for indent in (None, 1):
        rows, notes = read(write(tmp_path, "a.json", json.dumps(row, indent=indent)), format)
        assert rows == [("1", row)] and notes == ""


def test_columns_of_conversations_are_told_from_a_row(tmp_path: Path) -> None:
    file = write(tmp_path, "a.json", json.dumps({"messages": [TURNS, TURNS]}))
    assert [row for _, row in read(file, "messages")[0]] == [{"messages": TURNS}] * 2


def test_texts_are_rows(tmp_path: Path) -> None:
    rows, notes = read(write(tmp_path, "a.json", '["one", "two"]'), "text")
    assert [row for _, row in rows] == [{"text": "one"}, {"text": "two"}]
    assert notes == "rows are texts; their column is called text"


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_pretty_printed_objects_are_rows(tmp_path: Path, name: str) -> None:
    text = "\n".join(json.dumps(row, indent=1) for row in ROWS)
    rows, notes = read(write(tmp_path, name, text))
    assert rows == [("1", ROWS[0]), ("5", ROWS[1])]
    assert "several JSON values one after the other; each is a row" in notes


def test_an_array_in_a_jsonl_file_is_read_as_one(tmp_path: Path) -> None:
    for indent in (None, 1):
        file = write(tmp_path, "a.jsonl", json.dumps(ROWS, indent=indent))
        rows, notes = read(file)
        assert [row for _, row in rows] == ROWS
        assert notes == "JSON over several lines; it is read as a whole"


SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Fire",
            "paragraphs": [
                {"context": "Fire is hot.", "qas": [{"prompt": "Is it?", "completion": "Yes."}]}
            ],
        }
    ],
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SQUAD, "an object of version, data, which is no row with prompt, completion; set rows: "
         "data.*.paragraphs.*.qas.* in prepare.sources"),
        ({"a": {"x": {"prompt": "a", "completion": "b"}}, "b": {}},
         "an object of 2 objects, which is no row with prompt, completion; set rows: *.x"),
        ({"train": {"q1": {"prompt": "a", "completion": "b"},
                    "q2": {"prompt": "c", "completion": "d"}}, "test": {}},
         "which is no row with prompt, completion; set rows: *.* in prepare.sources"),
        ({"a": [{"x": 1}], "b": [{"y": 1}], "c": 1},
         "an object of a, b, c, which is no row with prompt, completion; set rows to the path"),
        ({"prompt": [{"role": "user", "content": "Hi"}], "x": []},
         "no column completion; it has prompt, x"),
        ({"a": ["x"], "b": ["y"]}, "no columns prompt, completion; it has a, b"),
        ("text", "begins with '\"text\"', which is no row, array or object of JSON"),
    ],
)  # fmt: skip
def test_an_unclear_shape_is_one_line(tmp_path: Path, content: Any, message: str) -> None:
    file = write(tmp_path, "a.json", json.dumps(content, indent=1))
    with pytest.raises(UserError) as error:
        check(file, "prompt_completion")
    assert message in error.value.message and "\n" not in error.value.message


def test_a_path_leads_to_rows_with_columns_from_above(tmp_path: Path) -> None:
    file = write(tmp_path, "a.json", json.dumps(SQUAD, indent=1))
    for path in ("data.*.paragraphs.*.qas", "data.*.paragraphs.*.qas.*"):
        rows, _ = read(file, "prompt_completion", rows=path, slices=["title"])
        assert rows == [("10", {"prompt": "Is it?", "completion": "Yes.", "title": "Fire"})]
    ((_, row),), _ = read(
        file, "prompt_completion", rows="data.*.paragraphs.*.qas", columns={"system": "context"}
    )
    assert row["context"] == "Fire is hot." and "title" not in row


def test_a_path_goes_through_the_names_of_objects(tmp_path: Path) -> None:
    content = {"train": {"d1": {"turns": [ROWS[0]]}, "d2": {"turns": [ROWS[1]]}}, "test": {}}
    file = write(tmp_path, "a.json", json.dumps(content))
    rows, _ = read(file, rows="train.*.turns", slices=["id"])
    assert [row for _, row in rows] == [{**ROWS[0], "id": "d1"}, {**ROWS[1], "id": "d2"}]
    with pytest.raises(UserError, match=r"nothing at rows dev\.\*; at its top are train, test"):
        read(file, rows="dev.*")
    with pytest.raises(UserError, match="leads to values"):
        read(file, rows="train.*.turns.*.text")


def test_a_path_is_followed_in_each_line(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps({"items": [row]}) for row in ROWS)
    rows, _ = read(write(tmp_path, "a.jsonl", lines), rows="items")
    assert rows == [("1", ROWS[0]), ("2", ROWS[1])]


def test_an_object_of_many_objects_is_not_read_line_by_line(tmp_path: Path) -> None:
    content = {f"d{i}": {"turns": [{"text": "a"}], "goal": {"x": [1, 2]}} for i in range(500)}
    file = write(tmp_path, "a.json", json.dumps(content, indent=4))
    rows, notes = read(file)
    assert len(rows) == 500 and rows[1] == ("15", content["d1"])
    assert notes == "is an object of 500 rows; their names can be read as column id"


def test_repeated_names_lose_no_row(tmp_path: Path) -> None:
    text = '{"a": {"text": "x", "label": "1"}, "a": {"text": "y", "label": "2"}}'
    rows, _ = read(write(tmp_path, "a.json", text))
    assert [row["text"] for _, row in rows] == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [{"x": 1}], "b" [1]}', r":1: not JSON: a colon belongs after a name"),
        ('{"a": [{"x": 1}]\n', r":2: not JSON: "),
        ('[{"a": 1}] 7', ":1: text after the end of the array; remove it"),
    ],
)
def test_damaged_json_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(write(tmp_path, "a.json", text), "text")


def test_rows_in_a_wrapper_are_proposed_where_no_column_is_required(tmp_path: Path) -> None:
    rows = [{"text": "to York", "entities": [{"start": 3, "end": 7, "entity": "city"}]}]
    wrapper = {"nlu_data": {"synonyms": [], "examples": rows}}
    path = write(tmp_path, "a.json", json.dumps(wrapper))
    with pytest.raises(UserError, match=r"set rows: nlu_data\.examples in prepare\.sources"):
        read(path, "spans")
    path = write(tmp_path, "b.json", json.dumps({"doc1": rows[0]}))
    assert len(read(path, "spans")[0]) == 1
