"""The settings of a source select rows, name columns and labels, and every row is counted."""

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.data import source_reading
from lockstep.data.source_report import SourceReport
from lockstep.errors import UserError
from lockstep.records import Record
from tests.data.test_prepare_params import make_params

ROWS: list[dict[str, Any]] = [
    {"text": f"question {number}", "label": f"l{number % 3}", "rating": number % 5}
    for number in range(40)
]


def write_rows(folder: Path, rows: list[Any], name: str = "a.jsonl") -> None:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(
    folder: Path, *sources: dict[str, Any], seed: int = 7, **values: Any
) -> tuple[list[Record], dict[str, str], list[SourceReport]]:
    """Return the records, the reasons of the rejected rows by place, and the reports."""
    defaults = {"path": "a.jsonl", "format": "classification"}
    settings = {"max_rejected_fraction": 1.0, **values}
    params = make_params(*({**defaults, **source} for source in sources), **settings)
    table, converted, reports = source_reading.read_sources(folder, params, seed)
    records = [table.load_record(number) for number in range(len(table))]
    return records, {row.origin: row.reason for row in converted.rejected}, reports


def read_answers(folder: Path, rows: list[Any], **source: Any) -> list[str]:
    write_rows(folder, rows)
    return [record.answer for record in read(folder, source)[0]]


def find_error(folder: Path, *sources: dict[str, Any], **values: Any) -> str:
    with pytest.raises(UserError) as error:
        read(folder, *sources, **values)
    return error.value.message.replace(f"{folder}/", "")


def list_questions(records: list[Record]) -> list[str]:
    return [record.question for record in records]


def test_where_leaves_out_rows_and_counts_them(tmp_path: Path) -> None:
    write_rows(tmp_path, [*ROWS, "[7]", '{"text": '])
    records, rejected, (report,) = read(tmp_path, {"where": "rating >= 3", "limit": 0})
    assert list_questions(records) == [row["text"] for row in ROWS if row["rating"] >= 3]
    assert rejected == {"a.jsonl:41": "not_an_object", "a.jsonl:42": "invalid_json"}
    assert report.left_out == {"where": 24}
    assert report.row_count + report.left_out.total() == 42


def test_sources_may_divide_a_file_by_where(tmp_path: Path) -> None:
    rows = [{"ask": "a", "r0": "x", "r1": "y", "better": number % 2} for number in range(4)]
    write_rows(tmp_path, [*rows, "{"])
    sources = [
        {"format": "preference", "where": f"better == {number}",
         "columns": {"prompt": "ask", "chosen": f"r{number}", "rejected": f"r{1 - number}"}}
        for number in (0, 1)
    ]  # fmt: skip
    records, rejected, reports = read(tmp_path, *sources)
    assert [(r.answer, r.rejected) for r in records] == [("x", "y")] * 2 + [("y", "x")] * 2
    assert sorted(r.origin for r in records) == [f"a.jsonl:{number}" for number in range(1, 5)]
    assert {r.source for r in records} == {"a.jsonl#better == 0", "a.jsonl#better == 1"}
    assert rejected == {"a.jsonl:5": "invalid_json"}
    assert [report.row_count for report in reports] == [3, 2]
    assert [report.left_out["where"] for report in reports] == [2, 3]


def test_a_row_that_two_sources_read_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS)
    sources = [{"where": "rating <= 2"}, {"where": "rating >= 2"}]
    assert find_error(tmp_path, *sources) == (
        "a.jsonl:3: two sources read this row, by where: rating <= 2 and where: rating >= 2; make "
        "the conditions exclude each other in prepare.sources"
    )


def test_where_reads_cells_and_constants(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w") as stream:
        writer = csv.DictWriter(stream, ["text", "label", "rating"])
        writer.writeheader()
        writer.writerows(ROWS)
    source = {"path": "a.csv", "where": "rating >= 4 and year == 2024", "constants": {"year": 2024}}
    assert len(read(tmp_path, source)[0]) == 8


def test_limit_keeps_the_first_rows_that_where_leaves(tmp_path: Path) -> None:
    write_rows(tmp_path, [*ROWS, "not read"])
    records, rejected, _ = read(tmp_path, {"where": "rating == 2", "limit": 3})
    assert list_questions(records) == ["question 2", "question 7", "question 12"]
    assert rejected == {}


def test_a_sample_depends_on_the_rows_and_the_seed_alone(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS)
    records, _, (report,) = read(tmp_path, {"sample": 0.5})
    half = list_questions(records)
    assert 8 <= len(half) <= 32 and report.left_out == {"sample": 40 - len(half)}
    ten = list_questions(read(tmp_path, {"sample": 10})[0])
    assert len(ten) == 10 and ten == sorted(ten, key=lambda text: int(text.split()[1]))
    assert list_questions(read(tmp_path, {"sample": 10}, seed=8)[0]) != ten
    write_rows(tmp_path, [{"text": "new", "label": "l0"}, *reversed(ROWS)])
    again = list_questions(read(tmp_path, {"sample": 0.5})[0])
    assert {*again} - {"new"} == {*half}
    assert len({*list_questions(read(tmp_path, {"sample": 10})[0])} - {*ten}) <= 1
    assert {*list_questions(read(tmp_path, {"sample": 0.2})[0])} <= {*again}
    assert len(read(tmp_path, {"sample": 500})[0]) == 41


@pytest.mark.parametrize("sample", [-1, 1.5, 2.5])
def test_a_sample_is_a_share_or_a_number(sample: float) -> None:
    with pytest.raises(ValueError, match="sample"):
        make_params({"path": "a.csv", "format": "text", "sample": sample})


def test_each_source_may_have_its_own_limit_of_rejected_rows(tmp_path: Path) -> None:
    write_rows(tmp_path, [*ROWS[:8], {"text": "", "label": "a"}, {"text": "a", "label": None}])
    write_rows(tmp_path, [{"text": "", "label": "x"}, *ROWS[9:30]], "b.jsonl")
    strict = {"path": "b.jsonl", "max_rejected_fraction": 0.0}
    lines = find_error(tmp_path, {"max_rejected_fraction": 0.1}, strict).splitlines()
    assert lines == [
        "2 of 10 rows rejected, more than max_rejected_fraction of a.jsonl, 0.1; "
        "repair them or raise it:",
        "a.jsonl:9: empty_text (fill it, or leave the row out by where)",
        "a.jsonl:10: label_is_null (fill it, or leave such rows out by where: label != null)",
        "1 of 22 rows rejected, more than max_rejected_fraction of b.jsonl, 0.0; "
        "repair them or raise it:",
        "b.jsonl:1: empty_text (fill it, or leave the row out by where)",
    ]
    assert len(read(tmp_path, {"max_rejected_fraction": 0.2}, {"path": "b.jsonl"})[0]) == 29


@pytest.mark.parametrize("is_own", [True, False])
def test_rows_that_the_file_keeps_from_learning_are_no_faults(tmp_path: Path, is_own: bool) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    good = {"messages": turns}
    unlearnt = [
        {"messages": [turns[0], turns[1] | {"weight": 0}]},
        good | {"train": False},
        good | {"weight": 0},
        good | {"answer": "reject", "_task_hash": 1},
    ]
    write_rows(tmp_path, [good, *unlearnt, {"messages": []}])
    source = {"format": "messages"} | ({"max_rejected_fraction": 0.5} if is_own else {})
    strict = {} if is_own else {"max_rejected_fraction": 0.5}
    _, rejected, (report,) = read(tmp_path, source, **strict)
    assert [*rejected.values()] == [
        "nothing_to_learn", "row_not_to_be_learnt", "weight_is_zero", "annotation_not_accepted",
        "missing_messages",
    ]  # fmt: skip
    assert report.describe()["rejected"] == 5  # all are counted in the card
    source = source | ({"max_rejected_fraction": 0.4} if is_own else {})
    strict = {} if is_own else {"max_rejected_fraction": 0.4}
    first, second = find_error(tmp_path, source, **strict).splitlines()
    assert first.startswith("1 of 2 rows rejected, more than ")
    assert second.startswith("a.jsonl:6: missing_messages (")


def test_a_column_that_the_first_rows_lack_is_an_error_of_all_sources_together(
    tmp_path: Path,
) -> None:
    write_rows(tmp_path, [{"question": f"q{number}", "label": "a"} for number in range(5000)])
    (tmp_path / "b.csv").write_text("text,intent\na,b\n")
    lines = find_error(
        tmp_path, {}, {"path": "b.csv"}, {"path": "c.csv"}, {"path": "b.csv.gz"}
    ).splitlines()
    assert lines == [
        "a.jsonl: no column text; it has question, label: "
        "set columns: {text: question} in prepare.sources",
        "b.csv: no column label; it has text, intent: "
        "set columns: {label: intent} in prepare.sources",
        "c.csv: not found; put it there or correct prepare.sources",
        "b.csv.gz: not found; put it there or correct prepare.sources",
    ]


def test_a_table_has_all_columns_that_its_source_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    source = {"path": "a.csv", "columns": {"system": "persona"}, "slices": ["language"]}
    assert find_error(tmp_path, source) == (
        "a.csv: no columns persona, language; it has text, label: "
        "correct columns or slices in prepare.sources"
    )


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"columns": {"group": "usr"}}, "usr"),
        ({"slices": ["meta.lagn"]}, "meta.lagn"),
        ({"where": "user == 'u1' or usr == 'u2'"}, "usr"),
        ({"where": "usr == 'u2'"}, "usr"),
    ],
)
def test_a_named_column_that_no_row_has_is_an_error(
    tmp_path: Path, setting: dict[str, Any], name: str
) -> None:
    rows = [{**row, "user": "u1", "meta": {"lang": "en"}} for row in ROWS]
    write_rows(tmp_path, rows)
    assert find_error(tmp_path, setting).startswith(f"a.jsonl: no column {name}; it has label, ")


def test_a_column_that_some_rows_have_is_optional(tmp_path: Path) -> None:
    write_rows(tmp_path, [*ROWS[:300], {**ROWS[1], "persona": "A pirate.", "region": "eu"}])
    source = {"columns": {"system": "persona"}, "slices": ["region"], "where": "region != 'us'"}
    records, rejected, _ = read(tmp_path, source)
    assert rejected == {}
    assert [record.slices["region"] for record in records[-2:]] == ["", "eu"]
    assert records[-1].messages[0] == {"role": "system", "content": "A pirate."}


def test_a_source_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS)
    line = "a.jsonl: where and sample leave no row; correct them in prepare.sources"
    assert find_error(tmp_path, {"where": "rating > 9"}) == line


def test_a_condition_that_does_not_fit_a_value_is_an_error_in_one_line(tmp_path: Path) -> None:
    write_rows(tmp_path, [*ROWS[:3], {**ROWS[3], "rating": "good"}])
    assert find_error(tmp_path, {"where": "rating < 4"}) == (
        "a.jsonl:4: cannot compare rating 'good' (str) with 4; number(rating) is null where it is "
        "no number; correct where in prepare.sources"
    )


def test_unknown_columns_are_collected_from_all_rows_or_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, [*ROWS, *ROWS, {**ROWS[0], "note": "x"}])
    write_rows(tmp_path, [{**row, "sytem": ""} for row in ROWS], "b.jsonl")
    reports = read(tmp_path, {}, {"path": "b.jsonl", "where": "rating > 0"})[2]
    assert [report.unknown_columns for report in reports] == [["note", "rating"], ["sytem"]]
    assert reports[0].describe()["unknown_columns"] == ["note", "rating"]
    assert find_error(tmp_path, {}, {"path": "b.jsonl"}, unknown_columns="refuse").splitlines() == [
        "a.jsonl: columns that nothing reads: note, rating; name them in columns, slices or "
        "templates, or set prepare.unknown_columns to note",
        "b.jsonl: columns that nothing reads: rating, sytem; name them in columns, slices or "
        "templates, or set prepare.unknown_columns to note",
    ]


def test_nested_columns_are_read(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "instances": [{"input": "1 2", "output": "3"}], "meta": {"s": 1}},
        {"instruction": "Add.", "instances": [], "meta": {"s": 2}},
    ]
    write_rows(tmp_path, rows)
    columns = {"input": "instances.0.input", "output": "instances.0.output"}
    (record,), rejected, (report,) = read(
        tmp_path, {"format": "alpaca", "columns": columns, "slices": ["meta.s"]}
    )
    assert (record.question, record.answer, record.slices) == ("Add.\n1 2", "3", {"meta.s": "1"})
    assert rejected == {"a.jsonl:2": "missing_output"}
    assert report.unknown_columns == []


def test_templates_build_turns_from_columns(tmp_path: Path) -> None:
    write_rows(
        tmp_path,
        [
            {"department": "Surgery", "title": "Knee", "ask": "Run?", "answer": "Not yet."},
            {"department": None, "title": "Arm", "ask": "Swim?", "answer": "Yes."},
        ],
    )
    templates = {
        "prompt": "Department: {department}\n{ask}",
        "completion": "{answer}",
        "system": "Title: {title}",
    }
    source = {"format": "prompt_completion", "templates": templates}
    (record,), rejected, (report,) = read(tmp_path, source)
    assert [message["content"] for message in record.messages] == [
        "Title: Knee", "Department: Surgery\nRun?", "Not yet.",
    ]  # fmt: skip
    assert rejected == {"a.jsonl:2": "department_is_null"}
    assert report.unknown_columns == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"format": "messages", "templates": {"messages": "{a}"}}, "no text field of messages"),
        ({"format": "text", "templates": {"text": "{a"}}, "write {{ for a brace"),
        ({"format": "text", "templates": {"text": "{a}"}, "columns": {"text": "b"}},
         "columns names text too"),
        ({"format": "text", "where": "a = 1"}, "write == for equal"),
        ({"format": "text", "slices": ["a", "split"]}, "has a slice split of its own; remove it"),
        ({"format": "text", "slices": ["zero_shot"]}, "has a slice zero_shot of its own"),
        ({"format": "text", "slices": ["parent"]}, "has a slice parent of its own"),
        ({"format": "text", "slices": ["perturbation"]}, "has a slice perturbation of its own"),
        ({"format": "text", "label_names": ["a"]}, "label_names: only classification"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_setting_is_found_without_a_file(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        make_params({"path": "a.jsonl", **settings})


def test_labels_may_be_numbers_and_truth_values(tmp_path: Path) -> None:
    labels = [0, 3.0, True, False, "a", 0.5]
    rows = [{"text": f"t{number}", "label": label} for number, label in enumerate(labels)]
    assert read_answers(tmp_path, rows) == ["0", "3", "true", "false", "a", "0.5"]
    write_rows(tmp_path, [{"text": "a", "label": ["b", "c"]}, {"text": "a", "label": None}])
    assert [*read(tmp_path, {})[1].values()] == ["label_not_text", "label_is_null"]


@pytest.mark.parametrize("names", [["refund", "order"], {0: "refund", 1: "order"}])
def test_labels_are_mapped_to_names(tmp_path: Path, names: Any) -> None:
    (tmp_path / "labels.json").write_text('["refund"]')
    labels = [0, "0", "0.0", 1, 2, "refund"]
    write_rows(tmp_path, [{"text": f"t{n}", "label": label} for n, label in enumerate(labels)])
    records, rejected, _ = read(tmp_path, {"label_names": names, "labels": "labels.json"})
    assert [record.answer for record in records] == ["refund"] * 4
    assert rejected == {"a.jsonl:4": "unknown_label", "a.jsonl:5": "label_without_name"}


def test_lists_of_labels_are_mapped_to_names(tmp_path: Path) -> None:
    rows = [{"text": "a", "labels": [1, "B"]}, {"text": "b", "labels": "[true]"}]
    names = {1: "order", "B": "bill", "true": "yes"}
    answers = read_answers(tmp_path, rows, format="multi_label", label_names=names)
    assert answers == ['["bill","order"]', '["yes"]']


def test_slices_are_normalized_as_labels_are(tmp_path: Path) -> None:
    values = ["en\u00a0US ", "en US", 3, 2.0, True, None]
    write_rows(tmp_path, [{**ROWS[n], "text": f"t{n}", "s": s} for n, s in enumerate(values)])
    records, rejected, _ = read(tmp_path, {"slices": ["s"]})
    assert [record.slices["s"] for record in records] == ["en US", "en US", "3", "2", "true", ""]
    assert rejected == {}


def test_a_note_on_files_of_several_sources_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text;label\nquestion;answer\n")
    write_rows(tmp_path, [{"one": ROWS, "two": ROWS[:1]}], name="c.json")
    tables = {"path": "a.csv"}, {"path": "b.csv"}
    read(tmp_path, *tables, {"path": "c.json", "rows": "one"}, {"path": "c.json", "rows": "two"})
    assert capsys.readouterr().err == (
        f"prepare: note: {tmp_path}/a.csv (and 1 more): cells are separated by ';' (guessed; "
        "delimiter sets it)\n"
    )


def test_rows_of_two_parts_of_a_file_have_places_of_their_own(tmp_path: Path) -> None:
    """Otherwise two unrelated groups of pairs are one, which cannot be in two splits."""
    pairs = [
        {"prompt": f"question {name}", "chosen": "yes", "rejected": [f"no {name}", f"never {name}"]}
        for name in ("train", "test")
    ]
    (tmp_path / "a.json").write_text(json.dumps({"train": pairs[:1], "test": pairs[1:]}))
    parts = [{"path": "a.json", "format": "preference", "rows": rows} for rows in ("train", "test")]
    records, _, _ = read(tmp_path, *parts)
    assert [record.origin for record in records] == [
        f"a.json#{place}" for place in ("train:1.1", "train:1.2", "test:1.1", "test:1.2")
    ]
    assert len({record.group for record in records}) == 2


def test_rows_of_two_members_of_an_archive_have_places_of_their_own(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("train.jsonl", "test.jsonl"):
            archive.writestr(name, json.dumps({"text": f"question {name}", "label": "a"}))
    sources = [{"path": "a.zip", "members": name} for name in ("train*", "test*")]
    records, _, _ = read(tmp_path, *sources)
    assert [record.origin for record in records] == ["a.zip:train.jsonl:1", "a.zip:test.jsonl:1"]


@pytest.mark.parametrize(
    "where", ["number(rating) >= 1", "rating > 1 and rating < 2", 'column("rating") == 1.5']
)
def test_a_condition_reads_decimal_commas_as_a_spreadsheet_writes_them(
    tmp_path: Path, where: str
) -> None:
    rows = ["text;label;rating", "first;a,5;1,5", "second;b;0,25"]
    write_rows(tmp_path, rows, "a.csv")
    records, _, _ = read(tmp_path, {"path": "a.csv", "where": where})
    assert [(record.question, record.answer) for record in records] == [("first", "a,5")]


def test_a_condition_changes_no_text_of_a_record(tmp_path: Path) -> None:
    write_rows(tmp_path, ["text;label;other", "1,5;a;0", "2;b;1,5"], "a.csv")
    source = {"path": "a.csv", "where": "number(text) == 2 or other == 0", "slices": ["other"]}
    records, _, _ = read(tmp_path, source)
    assert [record.question for record in records] == ["1,5", "2"]
    assert [record.slices["other"] for record in records] == ["0", "1,5"]


def test_a_table_that_may_lack_a_header_is_named_with_the_setting(tmp_path: Path) -> None:
    write_rows(tmp_path, ["3,first text", "1,second text"], "a.csv")
    assert "header: false if the first row is data, in prepare.sources" in find_error(
        tmp_path, {"path": "a.csv"}
    )
    source = {"path": "a.csv", "header": False, "columns": {"label": "0", "text": "1"}}
    records, _, _ = read(tmp_path, source)
    assert [(record.question, record.answer) for record in records] == [
        ("first text", "3"), ("second text", "1"),
    ]  # fmt: skip


def test_two_sources_may_make_two_tasks_of_the_same_rows(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"text": f"Stop {number}", "intent": "end", "room": "hall"}
                          for number in range(3)])  # fmt: skip
    sources = [{"columns": {"label": name}, "task": name, "where": "room != null"}
               for name in ("intent", "room")]  # fmt: skip
    records, _, _ = read(tmp_path, *sources)
    assert (
        sorted((r.task, r.answer) for r in records)
        == [("intent", "end")] * 3 + [("room", "hall")] * 3
    )
    for source in sources:
        del source["where"]
    assert {r.source for r in read(tmp_path, *sources)[0]} == {"a.jsonl#intent", "a.jsonl#room"}
    same_task = [{**source, "task": "t"} for source in sources]
    with pytest.raises(ValidationError, match="its own task"):
        read(tmp_path, *same_task)


def test_a_path_of_rows_that_where_leaves_out_is_not_missing(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"ask": {"full": f"q {n}"}, "label": "a", "n": n} for n in range(3)])
    source = {"columns": {"text": "ask.full"}, "where": "n > 5"}
    assert "where and sample leave no row" in find_error(tmp_path, source)
