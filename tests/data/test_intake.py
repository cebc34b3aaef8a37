"""Every row becomes a record or a named rejection; a bad file is one line."""

import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.data import readers, rejection
from lockstep.data.cleaning import Cleaner, Step
from lockstep.data.intake import Intake
from lockstep.data.quality import QualityParams
from lockstep.data.rejection import Rejected, UnfitError
from lockstep.data.sources import NEEDED, Source
from lockstep.errors import UserError
from lockstep.records import Record, dump
from tests.data import rows

PAIR = {"prompt": "Hi", "completion": "Hello"}
SAID = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def source(path: str, format: str = "prompt_completion", **more: Any) -> Source:
    return rows.source(format, path=path, **more)


STEPS: list[Step] = ["invisible", "width"]


def read(folder: Path, data: str | bytes, chosen: Source, **limits: Any) -> list[Record | Rejected]:
    file = folder / chosen.path
    file.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    strict = {"max_repetition": 1.0, "length_ratio": [0.001, 1000.0], "min_score": 0.0, **limits}
    intake = Intake(
        chosen,
        readers.labels(folder, chosen),
        Cleaner(STEPS, []),
        QualityParams.model_validate(strict),
        max_characters=300_000,
    )
    found: list[Record | Rejected] = []
    for numbered in readers.rows(folder, chosen):
        taken = intake.take([numbered])
        found += [*taken.records, *taken.rejected]
    return found


def zipped(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", data)
    return stream.getvalue()


def seen(rows: list[Record | Rejected]) -> list[tuple[str, str]]:
    """(file:line, reason or answer) of each row."""
    return [(r.origin, r.reason if isinstance(r, Rejected) else r.answer) for r in rows]


def reason(folder: Path, row: Any, format: str = "prompt_completion", **more: Any) -> str:
    (rejected,) = read(folder, json.dumps(row), source("a.jsonl", format, **more))
    assert isinstance(rejected, Rejected), f"accepted: {row}"
    assert rejected.origin == "a.jsonl:1"
    return rejected.reason


def refused(folder: Path, data: str | bytes, chosen: Source) -> str:
    with pytest.raises(UserError) as refusal:
        read(folder, data, chosen)
    assert "\n" not in refusal.value.message
    return refusal.value.message.removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("format", "row", "messages"),
    [
        ("prompt_completion", PAIR, SAID),
        ("classification", {"text": "Hi", "label": "Hello"}, SAID),
        ("alpaca", {"instruction": "Hi", "output": "Hello"}, SAID),
        ("alpaca", {"instruction": "Hi", "input": "", "output": "Hello"}, SAID),
        (
            "alpaca",
            {"instruction": "Say", "input": "Hi", "output": "Hello"},
            [{"role": "user", "content": "Say\nHi"}, SAID[1]],
        ),
        ("messages", {"messages": SAID}, SAID),
        ("messages", {"messages": SAID + SAID}, SAID + SAID),
        (
            "messages",
            {"messages": [{"role": "system", "content": "Be kind"}, *SAID]},
            [{"role": "system", "content": "Be kind"}, *SAID],
        ),
    ],
)
def test_each_format_is_a_conversation(
    tmp_path: Path, format: str, row: dict[str, Any], messages: list[dict[str, str]]
) -> None:
    chosen = source("a.jsonl", format)
    (record,) = read(tmp_path, json.dumps(row), chosen)
    assert isinstance(record, Record)
    assert record.messages == messages


def test_a_record_keeps_what_the_source_says_of_it(tmp_path: Path) -> None:
    chosen = source(
        "a.jsonl", "classification", task="intent", weight=2.0, system="Name it.",
        columns={"label": "intent"}, slices=["language", "level"],
    )  # fmt: skip
    row = '{"text": "Hi", "intent": "greet", "language": "en", "level": 3, "other": null}\n'
    assert read(tmp_path, row, chosen) == [
        Record(
            messages=[
                {"role": "system", "content": "Name it."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "greet"},
            ],
            task="intent",
            source="a.jsonl",
            origin="a.jsonl:1",
            slices={"language": "en", "level": "3"},
            weight=2.0,
            language="latin",
        )
    ]


def test_a_system_turn_of_the_row_s_own_is_kept(tmp_path: Path) -> None:
    row = {"messages": [{"role": "system", "content": "Own"}, *SAID]}
    (record,) = read(tmp_path, json.dumps(row), source("a.jsonl", "messages", system="Ours"))
    assert isinstance(record, Record)
    assert [turn["content"] for turn in record.messages] == ["Own", "Hi", "Hello"]


def test_thoughts_and_arguments_are_cleaned_as_the_text_is(tmp_path: Path) -> None:
    call = {"id": "c1", "name": "track", "arguments": {"ids": ["Ａ１"], "n": 2, "to": "a\u200bb"}}
    turns = [
        {"role": "user", "content": "Where is Ａ１?"},
        {"role": "assistant", "content": "", "reasoning_content": "Ａ１!", "tool_calls": [call]},
    ]
    row = json.dumps({"messages": turns})
    (record,) = read(tmp_path, row, source("a.jsonl", "messages"))
    assert isinstance(record, Record)
    assert record.question == "Where is A1?"
    assert record.messages[-1]["reasoning_content"] == "A1!"
    (made,) = record.messages[-1]["tool_calls"]
    assert made["function"]["arguments"] == {"ids": ["A1"], "n": 2, "to": "ab"}
    assert made["id"] == "c1"


def test_jsonl_rows_stand_on_their_lines(tmp_path: Path) -> None:
    data = (
        '{"prompt": "a", "completion": "1"}\r\n'
        "\n"
        "{broken\n"
        '{"prompt": "b\u2028b", "completion": "2"}\n'
        '["a"]'
    )
    assert seen(read(tmp_path, data, source("a.jsonl"))) == [
        ("a.jsonl:1", "1"),
        ("a.jsonl:3", "invalid_json"),
        ("a.jsonl:4", "2"),
        ("a.jsonl:5", "not_an_object"),
    ]


def test_a_last_line_that_is_cut_off_is_named(tmp_path: Path) -> None:
    whole = '{"prompt": "a", "completion": "1"}\n'
    for cut in (9, 20, len(whole) - 2):
        rows = seen(read(tmp_path, whole + whole[:cut], source("a.jsonl")))
        assert rows == [("a.jsonl:1", "1"), ("a.jsonl:2", "truncated_last_line")]
    rows = seen(read(tmp_path, "{broken\n" + whole[:-1], source("a.jsonl")))
    assert rows == [("a.jsonl:1", "invalid_json"), ("a.jsonl:2", "1")]


def test_json_rows_stand_on_the_line_on_which_they_begin(tmp_path: Path) -> None:
    data = (
        "\n[\n"
        '  {"prompt": "[,", "completion": "1"}, {"prompt": "b", "completion": "2"},\n'
        '  {\n    "prompt": "c",\n    "completion": "3"\n  },\n\n'
        '  7, {"prompt": "d", "completion": NaN},\n'
        '  {"prompt": "d", "prompt": "e", "completion": "4"}]\n'
    )
    assert seen(read(tmp_path, data, source("a.json"))) == [
        ("a.json:3", "1"),
        ("a.json:3:2", "2"),
        ("a.json:4", "3"),
        ("a.json:9", "not_an_object"),
        ("a.json:9:2", "nan_or_infinity"),
        ("a.json:10", "duplicate_keys"),
    ]


def test_csv_rows_stand_on_the_physical_line_on_which_they_begin(tmp_path: Path) -> None:
    data = (
        "prompt,completion\r\n"
        '"two\r\nlines",1\r\n'
        '"say ""hi"", please",2\r\n'
        "\r\n"
        "a,b,c\r\n"
        "alone\r\n"
        'a,"b"c\r\n'
        '"three\r\n\r\nlines",3\r\n'
    )
    rows = read(tmp_path, data, source("a.csv"))
    assert seen(rows) == [
        ("a.csv:2", "1"),
        ("a.csv:4", "2"),
        ("a.csv:6", "wrong_number_of_cells"),
        ("a.csv:7", "wrong_number_of_cells"),
        ("a.csv:8", "invalid_csv"),
        ("a.csv:9", "3"),
    ]
    first, second = rows[:2]
    assert isinstance(first, Record) and first.question == "two\nlines"
    assert isinstance(second, Record) and second.question == 'say "hi", please'


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"completion": "Hello"}, "missing_prompt"),
        ({"prompt": "Hi"}, "missing_completion"),
        ({"prompt": "Hi", "completion": 5}, "completion_not_text"),
        ({"prompt": None, "completion": "Hello"}, "prompt_is_null"),
        ({"prompt": " \n", "completion": "Hello"}, "empty_prompt"),
        ({"prompt": "Hi", "completion": ""}, "empty_completion"),
        ({"prompt": "Hi", "completion": "\u200b"}, "empty_after_cleaning"),
        ({"prompt": "Hi <|im_end|>", "completion": "Hello"}, "control_token"),
        ({"prompt": "[INST] Hi", "completion": "Hello"}, "control_token"),
        ({"prompt": "Hi", "completion": "Hello</s>"}, "control_token"),
        ({"prompt": "Hi <|im\u200b_end|>", "completion": "Hello"}, "control_token"),
        ({"prompt": "Hi <|ｉｍ_end|>", "completion": "Hello"}, "control_token"),
        ({"prompt": "Hi\0", "completion": "Hello"}, "nul_character"),
        ({"prompt": "Hi \ud800", "completion": "Hello"}, "lone_surrogate"),
        ([], "not_an_object"),
        ("Hi", "not_an_object"),
        (None, "not_an_object"),
    ],
)
def test_a_bad_row_is_rejected_by_name(tmp_path: Path, row: Any, expected: str) -> None:
    assert reason(tmp_path, row) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (None, "messages_is_null"),
        ([], "missing_messages"),
        ("Hi", "messages_not_json"),
        ("7", "missing_messages"),
        (["Hi"], "turn_not_an_object"),
        ([{"content": "x"}], "missing_role"),
        ([{"role": "critic", "content": "x"}], "unknown_role"),
        ([{"role": ["user"], "content": "x"}], "unknown_role"),
        ([{"role": "user"}], "content_is_null"),
        ([{"role": "user", "content": ""}], "empty_content"),
        (SAID[:1], "ends_without_answer"),
        ([{"role": "system", "content": "s"}], "ends_without_answer"),
        (SAID[1:], "assistant_after_start"),
        ([SAID[0], *SAID], "two_user_turns"),
        ([*SAID, SAID[1]], "two_assistant_turns"),
        ([*SAID, {"role": "system", "content": "s"}, *SAID], "system_turn_not_first"),
        ([{"role": "system", "content": "s"}, SAID[1]], "assistant_after_start"),
        ([SAID[0], {"role": "tool", "content": "x"}], "tool_after_user"),
    ],
)
def test_a_bad_conversation_is_rejected_by_name(
    tmp_path: Path, messages: Any, expected: str
) -> None:
    assert reason(tmp_path, {"messages": messages}, "messages") == expected


def test_a_bad_optional_field_is_rejected_by_name(tmp_path: Path) -> None:
    row = {"instruction": "Say", "input": ["Hi"], "output": "Hello"}
    assert reason(tmp_path, row, "alpaca") == "input_not_text"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "missing_language"),
        (True, "language_not_text"),
        (["en"], "language_not_text"),
        ("\ud800", "lone_surrogate"),
    ],
)
def test_a_row_without_its_slice_is_rejected(tmp_path: Path, value: Any, expected: str) -> None:
    assert reason(tmp_path, {**PAIR, "language": value}, slices=["language"]) == expected


@pytest.mark.parametrize("container", ["jsonl", "json"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('{"prompt": "a", "completion": "b", "score": NaN}', "nan_or_infinity"),
        ('{"prompt": "a", "completion": "b", "scores": [{"a": -Infinity}]}', "nan_or_infinity"),
        ('{"prompt": "a", "prompt": "b", "completion": "c"}', "duplicate_keys"),
        ('{"prompt": "a", "completion": "b", "more": {"k": 1, "k": 2}}', "duplicate_keys"),
    ],
)
def test_json_that_two_readers_would_read_differently_is_rejected(
    tmp_path: Path, container: str, row: str, expected: str
) -> None:
    data = f"[{row}]" if container == "json" else row
    (rejected,) = read(tmp_path, data, source(f"a.{container}"))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == expected


def test_a_label_outside_the_set_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["refund", "退款"]', encoding="utf-8")
    chosen = source("a.csv", "classification", labels="labels.json")
    assert seen(read(tmp_path, "text,label\na,refund\nb,退款\nc,Refund\nd,other\n", chosen)) == [
        ("a.csv:2", "refund"),
        ("a.csv:3", "退款"),
        ("a.csv:4", "unknown_label"),
        ("a.csv:5", "unknown_label"),
    ]


def test_a_rejected_row_of_cells_is_shown_too(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "prompt,completion\na,b,c\n", source("a.csv"))
    assert row == Rejected(origin="a.csv:2", reason="wrong_number_of_cells", row="a | b | c")
    again = pickle.loads(pickle.dumps(UnfitError("reason", "row")))  # noqa: S301  # our own
    assert (str(again), again.row) == ("reason", "row")


def test_labels_and_preferences_are_compared_as_they_are_clean(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["Ｒefund"]')
    chosen = source("a.jsonl", "classification", labels="labels.json")
    (record,) = read(tmp_path, '{"text": "a", "label": "Re\u200bfund"}', chosen)
    assert isinstance(record, Record) and record.answer == "Refund"
    (same,) = read(
        tmp_path,
        '{"prompt": "a", "chosen": "１", "rejected": "1"}',
        source("a.jsonl", "preference"),
    )
    assert isinstance(same, Rejected) and same.reason == "chosen_equals_rejected"


def test_a_rejection_shows_the_row_shortened(tmp_path: Path) -> None:
    (rejected,) = read(tmp_path, json.dumps({"prompt": "é" * 999}), source("a.jsonl"))
    assert isinstance(rejected, Rejected)
    assert rejected.row.startswith('{"prompt": "\\u00e9') and len(rejected.row) == 200
    rejection.write(tmp_path / "rejected.jsonl", [rejected])
    (line,) = (tmp_path / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "origin": "a.jsonl:1", "reason": "missing_completion", "row": rejected.row,
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_a_named_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    data = "prompt,completion\n退款吗？,好\n".encode(encoding)
    (record,) = read(tmp_path, data, source("a.csv", encoding=encoding))
    assert isinstance(record, Record)
    assert (record.question, record.answer) == ("退款吗？", "好")


@pytest.mark.parametrize("container", ["jsonl", "json", "csv"])
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, container: str) -> None:
    data = {
        "jsonl": json.dumps(PAIR),
        "json": json.dumps([PAIR]),
        "csv": "prompt,completion\nHi,Hello\n",
    }[container]
    (record,) = read(tmp_path, b"\xef\xbb\xbf" + data.encode(), source(f"a.{container}"))
    assert isinstance(record, Record)
    assert record.messages == SAID


@pytest.mark.parametrize(
    ("path", "data", "line"),
    [
        ("a.jsonl", "", "a.jsonl: no rows; remove it from prepare.sources or fill it"),
        ("a.jsonl", "\n \n", "a.jsonl: no rows; remove it from prepare.sources or fill it"),
        ("a.json", "[]", "a.json: no rows; remove it from prepare.sources or fill it"),
        ("a.csv", "", "a.csv: no header; remove it from prepare.sources or fill it"),
        ("a.csv", "prompt,completion\n", "a.csv: no rows; remove it from prepare.sources"),
        ("a.json", "", "a.json: no rows; remove it from prepare.sources or fill it"),
        ("a.json", '[\n{"a": 1}', "a.json:2: not JSON: Expecting value; repair it or use .jsonl"),
        ("a.json", '[{"a": 1}] 7', "a.json:1: text after the end of the array; remove it"),
        ("a.json", "[" * 100_000, "a.json:1: not JSON: maximum recursion depth exceeded"),
        (
            "a.csv", "question,answer\na,b\n",
            "a.csv: no column prompt; it has question, answer: correct columns or slices",
        ),
        ("a.csv", "prompt,prompt,completion\na,b,c\n", "a.csv: two columns prompt; rename or"),
        ("a.csv", 'prompt,completion\n"a,b\nc,d\n', "a.csv:2: a quote that opens here does not"),
        ("a.csv", 'prompt,completion\na,b\n"c,d\ne,"f"\n', "a.csv:3: a quote that opens here"),
        (
            "a.csv", 'prompt,completion\n"c,d\ne,f\ng",h,i\n',
            "a.csv:2: a quote that opens here does not close before line 4; close it, or double",
        ),
        ("a.json", '[{"prompt": "a"}{"prompt": "b"}]', "a.json:1: not JSON: one comma belongs"),
        ("a.json", '[{"prompt": "a"},, {"prompt": "b"}]', "a.json:1: not JSON: one comma belongs"),
        ("a.json", '[{"prompt": "a"},]', "a.json:1: not JSON: one comma belongs"),
        ("a.csv", '"prompt"s,completion\na,b\n', "a.csv:1: header is not CSV:"),
        ("a.csv", b"prompt,completion\ncaf\xe9,b\n", "a.csv: not utf-8 at byte 21; it looks"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused(tmp_path: Path, path: str, data: str | bytes, line: str) -> None:
    assert refused(tmp_path, data, source(path)).startswith(line)


def test_a_csv_without_a_slice_s_column_is_refused(tmp_path: Path) -> None:
    told = refused(tmp_path, "prompt,completion\na,b\n", source("a.csv", slices=["language"]))
    assert told.startswith("a.csv: no column language; it has prompt, completion")


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    (record,) = read(tmp_path, f"prompt,completion\n{'a ' * 100_000},b\n", source("a.csv"))
    assert isinstance(record, Record) and len(record.question) == 200_000


def test_a_column_that_is_named_must_be_there(tmp_path: Path) -> None:
    named: dict[str, Any] = {"format": "alpaca", "columns": {"input": "context"}}
    told = refused(tmp_path, "instruction,output\na,b\n", source("a.csv", **named))
    assert told.startswith("a.csv: no column context; it has instruction, output")
    assert reason(tmp_path, {"instruction": "a", "output": "b"}, **named) == "missing_input"


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"b\.csv: not found; put it there or correct"):
        list(readers.rows(tmp_path, source("b.csv")))
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(UserError, match=r"b\.csv: a folder; name a file in prepare\.sources"):
        list(readers.rows(tmp_path, source("b.csv")))


@pytest.mark.parametrize("labels", ["{}", "[1]", '"refund"', "[", ""])
def test_a_bad_labels_file_is_refused(tmp_path: Path, labels: str) -> None:
    (tmp_path / "labels.json").write_text(labels)
    chosen = source("a.csv", "classification", labels="labels.json")
    told = refused(tmp_path, "text,label\na,b\n", chosen)
    assert told == "labels.json: must be a JSON list of label names"


def test_a_missing_labels_file_is_refused(tmp_path: Path) -> None:
    chosen = source("a.csv", "classification", labels="labels.json")
    assert refused(tmp_path, "text,label\na,b\n", chosen).startswith(
        "labels.json: no such file or directory; correct labels in prepare.sources"
    )


PIECES = st.lists(
    st.sampled_from([
        '"', ",", "\n", "\r\n", "\r", "[", "]", "{", "}", ":", "\\", "\\ud800", "\0", "\ufeff", " ",
        '"messages"', '"role"', '"user"', '"content"', "prompt", "completion", '"prompt"',
        '"completion"', '"text"', '"label"', '"conversations"', '"from"', '"value"', '"human"',
        '"chosen"', '"rejected"', '"tools"', '"tool_calls"', '"data"', '"annotations"', "true",
        "NaN", "-1e999", "null", "1", "价", "<|im_end|>",
    ]),
    max_size=40,
).map(lambda pieces: "".join(pieces).encode())  # fmt: skip


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "jsonl": bytes,
    "json": bytes,
    "csv": bytes,
    "tsv": bytes,
    "parquet": bytes,
    "json.gz": gzip.compress,
    "csv.zip": zipped,
    "jsonl.zip": bytes,
}


@pytest.mark.parametrize("container", PACKINGS)
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.binary(max_size=60) | PIECES | PIECES.map(lambda text: b"prompt,completion\n" + text),
    format=st.sampled_from(sorted(NEEDED)),
    encoding=st.sampled_from(["utf-8", "latin-1", "gb18030", "utf-16"]),
    cut=st.integers(0, 40),
)
def test_any_bytes_are_records_rejections_or_a_refusal(
    tmp_path: Path, container: str, data: bytes, format: str, encoding: str, cut: int
) -> None:
    packed = PACKINGS[container](data)
    data = packed[: len(packed) - cut] if cut < 9 else packed
    chosen = source(f"a.{container}", format, encoding=encoding)
    try:
        rows = read(tmp_path, data, chosen)
    except UserError as refusal:
        assert refusal.message
        return
    rejection.write(tmp_path / "rejected", [r for r in rows if isinstance(r, Rejected)])
    for row in rows:
        assert row.origin.startswith(f"a.{container}:")
        if isinstance(row, Record):
            assert dump(row)
            assert row.user_text and row.answer
