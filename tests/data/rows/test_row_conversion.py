"""Every row becomes a record or is rejected with a reason; an unreadable file is refused."""

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

from lockstep.data import rejected_rows, source_reading, source_report
from lockstep.data.cleaning.cleaner import Cleaner, Step
from lockstep.data.quality import QualityParams
from lockstep.data.rejected_rows import InvalidRowError, RejectedRow
from lockstep.data.rows.row_conversion import RowConverter
from lockstep.data.source_formats import REQUIRED_FIELDS
from lockstep.data.source_report import SourceReport
from lockstep.data.sources import Source
from lockstep.errors import UserError
from lockstep.records import Record, dump
from tests.data import examples

PAIR = {"prompt": "Hi", "completion": "Hello"}
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def make_source(path: str, format: str = "prompt_completion", **values: Any) -> Source:
    return examples.make_source(format, path=path, **values)


STEPS: list[Step] = ["invisible", "width"]


def convert_file(
    folder: Path, data: str | bytes, source: Source, **limits: Any
) -> list[Record | RejectedRow]:
    file = folder / source.path
    file.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    lenient = {"max_repetition": 1.0, "length_ratio": [0.001, 1000.0], "min_score": 0.0, **limits}
    converter = RowConverter(
        source,
        source_reading.read_allowed_labels(folder, source),
        Cleaner(STEPS, []),
        QualityParams.model_validate(lenient),
        max_characters=300_000,
    )
    results: list[Record | RejectedRow] = []
    for placed_row in source_reading.read_source(folder, source):
        converted = converter.convert([placed_row])
        results += [*converted.records, *converted.rejected]
    return results


def make_zip(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", data)
    return stream.getvalue()


def summarize(rows: list[Record | RejectedRow]) -> list[tuple[str, str]]:
    """Return (file:line, reason or answer) of each row."""
    return [(r.origin, r.reason if isinstance(r, RejectedRow) else r.answer) for r in rows]


def find_reason(folder: Path, row: Any, format: str = "prompt_completion", **values: Any) -> str:
    (rejected,) = convert_file(folder, json.dumps(row), make_source("a.jsonl", format, **values))
    assert isinstance(rejected, RejectedRow), f"accepted: {row}"
    assert rejected.origin == "a.jsonl:1"
    return rejected.reason


def find_user_error(folder: Path, data: str | bytes, source: Source) -> str:
    with pytest.raises(UserError) as error:
        convert_file(folder, data, source)
    assert "\n" not in error.value.message
    return error.value.message.removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("format", "row", "messages"),
    [
        ("prompt_completion", PAIR, MESSAGES),
        ("classification", {"text": "Hi", "label": "Hello"}, MESSAGES),
        ("alpaca", {"instruction": "Hi", "output": "Hello"}, MESSAGES),
        ("alpaca", {"instruction": "Hi", "input": "", "output": "Hello"}, MESSAGES),
        (
            "alpaca",
            {"instruction": "Say", "input": "Hi", "output": "Hello"},
            [{"role": "user", "content": "Say\nHi"}, MESSAGES[1]],
        ),
        ("messages", {"messages": MESSAGES}, MESSAGES),
        ("messages", {"messages": MESSAGES + MESSAGES}, MESSAGES + MESSAGES),
        (
            "messages",
            {"messages": [{"role": "system", "content": "Be kind"}, *MESSAGES]},
            [{"role": "system", "content": "Be kind"}, *MESSAGES],
        ),
    ],
)
def test_each_format_becomes_a_conversation(
    tmp_path: Path, format: str, row: dict[str, Any], messages: list[dict[str, str]]
) -> None:
    source = make_source("a.jsonl", format)
    (record,) = convert_file(tmp_path, json.dumps(row), source)
    assert isinstance(record, Record)
    assert record.messages == messages


def test_a_record_has_the_settings_of_its_source(tmp_path: Path) -> None:
    source = make_source(
        "a.jsonl", "classification", task="intent", weight=2.0, system="Name it.",
        columns={"label": "intent"}, slices=["language", "level"],
    )  # fmt: skip
    row = '{"text": "Hi", "intent": "greet", "language": "en", "level": 3, "other": null}\n'
    assert convert_file(tmp_path, row, source) == [
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


def test_a_row_with_a_system_message_keeps_it(tmp_path: Path) -> None:
    row = {"messages": [{"role": "system", "content": "Own"}, *MESSAGES]}
    (record,) = convert_file(
        tmp_path, json.dumps(row), make_source("a.jsonl", "messages", system="Ours")
    )
    assert isinstance(record, Record)
    assert [turn["content"] for turn in record.messages] == ["Own", "Hi", "Hello"]


def test_reasoning_is_cleaned_and_data_of_tools_is_not(tmp_path: Path) -> None:
    call = {"id": "c1", "name": "track", "arguments": {"ids": ["Ａ１"], "n": 2, "to": "a\u200bb"}}
    turns = [
        {"role": "user", "content": "Where is Ａ１?"},
        {"role": "assistant", "content": "", "reasoning_content": "Ａ１!", "tool_calls": [call]},
    ]
    row = json.dumps({"messages": turns})
    (record,) = convert_file(tmp_path, row, make_source("a.jsonl", "messages"))
    assert isinstance(record, Record)
    assert record.question == "Where is A1?"
    assert record.messages[-1]["reasoning_content"] == "A1!"
    (call,) = record.messages[-1]["tool_calls"]
    arguments = {"ids": ["Ａ１"], "n": 2, "to": "a\u200bb"}
    assert call["function"]["arguments"] == arguments
    assert call["id"] == "c1"


def test_the_origin_of_a_jsonl_row_is_its_line(tmp_path: Path) -> None:
    data = (
        '{"prompt": "a", "completion": "1"}\r\n'
        "\n"
        "{broken\n"
        '{"prompt": "b\u2028b", "completion": "2"}\n'
        '["a"]'
    )
    assert summarize(convert_file(tmp_path, data, make_source("a.jsonl"))) == [
        ("a.jsonl:1", "1"),
        ("a.jsonl:3", "invalid_json"),
        ("a.jsonl:4", "2"),
        ("a.jsonl:5", "not_an_object"),
    ]


def test_a_truncated_last_line_is_rejected_as_such(tmp_path: Path) -> None:
    line = '{"prompt": "a", "completion": "1"}\n'
    for length in (9, 20, len(line) - 2):
        rows = summarize(convert_file(tmp_path, line + line[:length], make_source("a.jsonl")))
        assert rows == [("a.jsonl:1", "1"), ("a.jsonl:2", "truncated_last_line")]
    rows = summarize(convert_file(tmp_path, "{broken\n" + line[:-1], make_source("a.jsonl")))
    assert rows == [("a.jsonl:1", "invalid_json"), ("a.jsonl:2", "1")]


def test_the_origin_of_a_json_row_is_the_line_on_which_it_begins(tmp_path: Path) -> None:
    data = (
        "\n[\n"
        '  {"prompt": "[,", "completion": "1"}, {"prompt": "b", "completion": "2"},\n'
        '  {\n    "prompt": "c",\n    "completion": "3"\n  },\n\n'
        '  7, {"prompt": "d", "completion": NaN},\n'
        '  {"prompt": "d", "prompt": "e", "completion": "4"}]\n'
    )
    assert summarize(convert_file(tmp_path, data, make_source("a.json"))) == [
        ("a.json:3", "1"),
        ("a.json:3:2", "2"),
        ("a.json:4", "3"),
        ("a.json:9", "not_an_object"),
        ("a.json:9:2", "nan_or_infinity"),
        ("a.json:10", "duplicate_keys"),
    ]


def test_the_origin_of_a_csv_row_is_the_line_on_which_it_begins(tmp_path: Path) -> None:
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
    rows = convert_file(tmp_path, data, make_source("a.csv"))
    assert summarize(rows) == [
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
def test_an_invalid_row_is_rejected_with_the_reason(
    tmp_path: Path, row: Any, expected: str
) -> None:
    assert find_reason(tmp_path, row) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (None, "messages_is_null"),
        ([], "missing_messages"),
        ("Hi", "messages_not_turns"),
        ("[Hi", "messages_not_json"),
        ("7", "messages_not_turns"),
        (["Hi", 7], "turn_not_an_object"),
        ([{"content": "x"}], "missing_role"),
        ([{"role": "critic", "content": "x"}], "unknown_role"),
        ([{"role": ["user"], "content": "x"}], "unknown_role"),
        ([{"role": "user"}], "content_is_null"),
        ([{"role": "user", "content": ""}], "empty_content"),
        (MESSAGES[:1], "ends_without_answer"),
        ([{"role": "system", "content": "s"}], "ends_without_answer"),
        (MESSAGES[1:], "assistant_after_start"),
        ([MESSAGES[0], *MESSAGES], "two_user_turns"),
        ([*MESSAGES, MESSAGES[1]], "two_assistant_turns"),
        ([*MESSAGES, {"role": "system", "content": "s"}, *MESSAGES], "system_turn_not_first"),
        ([{"role": "system", "content": "s"}, MESSAGES[1]], "assistant_after_start"),
        ([MESSAGES[0], {"role": "tool", "content": "x"}], "tool_after_user"),
    ],
)
def test_an_invalid_conversation_is_rejected_with_the_reason(
    tmp_path: Path, messages: Any, expected: str
) -> None:
    assert find_reason(tmp_path, {"messages": messages}, "messages") == expected


def test_an_invalid_optional_field_is_rejected_with_the_reason(tmp_path: Path) -> None:
    row = {"instruction": "Say", "input": ["Hi"], "output": "Hello"}
    assert find_reason(tmp_path, row, "alpaca") == "input_not_text"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1}, "language_not_text"),
        (["en"], "language_not_text"),
        ("\ud800", "lone_surrogate"),
    ],
)
def test_a_slice_that_is_no_text_is_rejected(tmp_path: Path, value: Any, expected: str) -> None:
    assert find_reason(tmp_path, {**PAIR, "language": value}, slices=["language"]) == expected


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
def test_ambiguous_json_is_rejected(
    tmp_path: Path, container: str, row: str, expected: str
) -> None:
    data = f"[{row}]" if container == "json" else row
    (rejected,) = convert_file(tmp_path, data, make_source(f"a.{container}"))
    assert isinstance(rejected, RejectedRow)
    assert rejected.reason == expected


def test_a_label_that_is_not_allowed_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["refund", "退款"]', encoding="utf-8")
    source = make_source("a.csv", "classification", labels="labels.json")
    assert summarize(
        convert_file(tmp_path, "text,label\na,refund\nb,退款\nc,Refund\nd,other\n", source)
    ) == [
        ("a.csv:2", "refund"),
        ("a.csv:3", "退款"),
        ("a.csv:4", "unknown_label"),
        ("a.csv:5", "unknown_label"),
    ]


def test_the_most_similar_label_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["refund", "order"]')
    source = make_source("a.csv", "multi_label", labels="labels.json")
    data = 'text,labels\na,"[""order"", ""refnd""]"\n'
    (rejected,) = convert_file(tmp_path, data, source)
    assert isinstance(rejected, RejectedRow)
    assert rejected.detail == '"refnd" is not in labels.json; did you mean refund?'


def test_a_rejected_csv_row_shows_its_cells(tmp_path: Path) -> None:
    (row,) = convert_file(tmp_path, "prompt,completion\na,b,c\n", make_source("a.csv"))
    assert row == RejectedRow(
        origin="a.csv:2",
        reason="wrong_number_of_cells",
        row="a | b | c",
        detail="3 cells, but 2 columns; quote cells with a delimiter inside, or set extra_cells: "
        "join if they belong to completion",
    )
    error = InvalidRowError("reason", "row", detail="more")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # made here
    assert (str(copy), copy.row, copy.detail) == ("reason", "row", "more")


def test_labels_and_preferences_are_compared_after_cleaning(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["Ｒefund"]')
    source = make_source("a.jsonl", "classification", labels="labels.json")
    (record,) = convert_file(tmp_path, '{"text": "a", "label": "Re\u200bfund"}', source)
    assert isinstance(record, Record) and record.answer == "Ｒefund"
    (rejected,) = convert_file(
        tmp_path,
        '{"prompt": "a", "chosen": "１", "rejected": "1"}',
        make_source("a.jsonl", "preference"),
    )
    assert isinstance(rejected, RejectedRow) and rejected.reason == "chosen_equals_rejected"


def test_the_weight_of_a_row_multiplies_that_of_its_source(tmp_path: Path) -> None:
    source = make_source("a.jsonl", weight=2.0)
    (record,) = convert_file(tmp_path, json.dumps({**PAIR, "weight": 1.5}), source)
    assert isinstance(record, Record) and record.weight == 3.0


def test_several_pairs_of_a_row_are_a_group(tmp_path: Path) -> None:
    row = {"prompt": "a", "chosen": "b", "rejected": ["c", "d"], "score": 2, "user": "u"}
    row |= {"reject_reason": ["rude", "long"], "language": "en"}
    source = make_source("a.jsonl", "preference", slices=["language"])
    pairs = convert_file(tmp_path, json.dumps(row), source)
    found = [(p.origin, p.rejected, p.margin, p.group, p.slices) for p in pairs]
    assert found == [
        ("a.jsonl:1.1", "c", 2.0, "row=a.jsonl:1", {"language": "en", "reject_reason": "rude"}),
        ("a.jsonl:1.2", "d", 2.0, "row=a.jsonl:1", {"language": "en", "reject_reason": "long"}),
    ]
    source = make_source("a.jsonl", "preference", columns={"group": "user"})
    assert {p.group for p in convert_file(tmp_path, json.dumps(row), source)} == {"user=u"}
    row["rejected"] = ["c", "b"]
    assert find_reason(tmp_path, row, "preference") == "chosen_equals_rejected"


def test_the_reasoning_of_both_answers_is_cleaned(tmp_path: Path) -> None:
    answers = [
        {"role": "assistant", "content": text, "reasoning_content": "\uff11"} for text in "bc"
    ]
    row = {"prompt": "a", "chosen": answers[:1], "rejected": answers[1:]}
    (pair,) = convert_file(tmp_path, json.dumps(row), make_source("a.jsonl", "preference"))
    assert isinstance(pair, Record) and isinstance(pair.rejected, dict)
    assert pair.messages[-1]["reasoning_content"] == pair.rejected["reasoning_content"] == "1"


def test_an_empty_result_of_a_tool_stays(tmp_path: Path) -> None:
    call = {"role": "assistant", "tool_calls": [{"name": "orders", "arguments": ""}]}
    turns = [MESSAGES[0], call, {"role": "tool", "content": ""}, MESSAGES[1]]
    (record,) = convert_file(
        tmp_path, json.dumps({"messages": turns}), make_source("a.jsonl", "messages")
    )
    assert isinstance(record, Record) and record.messages[2] == {"role": "tool", "content": ""}


def test_a_rejected_row_is_written_shortened(tmp_path: Path) -> None:
    for ascii in (True, False):
        row = json.dumps({"prompt": "\x01é你😀" * 99}, ensure_ascii=ascii)
        (rejected,) = convert_file(tmp_path, row, make_source("a.jsonl"))
        assert isinstance(rejected, RejectedRow)
        assert rejected.row.startswith('{"prompt": "\\u0001é你😀\\u0001é你😀')
        assert len(rejected.row) == 200
    rejected_rows.write_rejected(tmp_path / "rejected.jsonl", [rejected])
    (line,) = (tmp_path / "rejected.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "origin": "a.jsonl:1", "reason": "missing_completion", "row": rejected.row,
        "detail": "the row has prompt; columns: {completion: …} names another column",
    }  # fmt: skip


def test_a_rejected_row_is_shown_as_its_readers_write(tmp_path: Path) -> None:
    rows = [r'{"a": "\u9000\u6b3e \ud83d\ude00 \ud800 \\u9000 \u000a"}', {"a": "退款\ud800"}]
    shown = [rejected_rows.shorten_row(row) for row in rows]
    assert shown == [r'{"a": "退款 😀 \ud800 \\u9000 \u000a"}', r'{"a": "退款\ud800"}']
    path = tmp_path / "rejected.jsonl"
    rejected = RejectedRow(origin="é\ud800:1", reason="missing_text", row=shown[0], detail="退款")
    rejected_rows.write_rejected(path, [rejected])
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert "退款" in line and json.loads(line)["detail"] == "退款"
    assert str(rejected).endswith(":1: missing_text (退款)")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_a_file_is_read_in_the_encoding_of_its_source(tmp_path: Path, encoding: str) -> None:
    data = "prompt,completion\n退款吗？,好\n".encode(encoding)
    (record,) = convert_file(tmp_path, data, make_source("a.csv", encoding=encoding))
    assert isinstance(record, Record)
    assert (record.question, record.answer) == ("退款吗？", "好")


@pytest.mark.parametrize("container", ["jsonl", "json", "csv"])
def test_a_byte_order_mark_is_ignored(tmp_path: Path, container: str) -> None:
    data = {
        "jsonl": json.dumps(PAIR),
        "json": json.dumps([PAIR]),
        "csv": "prompt,completion\nHi,Hello\n",
    }[container]
    (record,) = convert_file(
        tmp_path, b"\xef\xbb\xbf" + data.encode(), make_source(f"a.{container}")
    )
    assert isinstance(record, Record)
    assert record.messages == MESSAGES


@pytest.mark.parametrize(
    ("path", "data", "message"),
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
        ("a.csv", b"prompt,completion\ncaf\xe9,b\n", "a.csv: not utf-8 at byte 21, line 2; it"),
    ],
)  # fmt: skip
def test_an_unreadable_file_is_refused(
    tmp_path: Path, path: str, data: str | bytes, message: str
) -> None:
    assert find_user_error(tmp_path, data, make_source(path)).startswith(message)


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    (record,) = convert_file(
        tmp_path, f"prompt,completion\n{'a ' * 100_000},b\n", make_source("a.csv")
    )
    assert isinstance(record, Record) and len(record.question) == 200_000


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"b\.csv: not found; put it there or correct"):
        list(source_reading.read_source(tmp_path, make_source("b.csv")))
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(
        UserError, match=r"b\.csv: a folder without data files; correct path in prepare\.sources"
    ):
        list(source_reading.read_source(tmp_path, make_source("b.csv")))


@pytest.mark.parametrize("labels", ["{}", "[[1]]", '"refund"', "[", ""])
def test_an_invalid_labels_file_is_refused(tmp_path: Path, labels: str) -> None:
    (tmp_path / "labels.json").write_text(labels)
    source = make_source("a.csv", "classification", labels="labels.json")
    message = find_user_error(tmp_path, "text,label\na,b\n", source)
    assert message == "labels.json: must be a JSON list of label names"


def test_a_missing_labels_file_is_refused(tmp_path: Path) -> None:
    source = make_source("a.csv", "classification", labels="labels.json")
    assert find_user_error(tmp_path, "text,label\na,b\n", source).startswith(
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


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "jsonl": bytes,
    "json": bytes,
    "csv": bytes,
    "tsv": bytes,
    "parquet": bytes,
    "json.gz": gzip.compress,
    "csv.zip": make_zip,
    "jsonl.zip": bytes,
}


@pytest.mark.parametrize("container", PACKERS)
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.binary(max_size=60) | PIECES | PIECES.map(lambda text: b"prompt,completion\n" + text),
    format=st.sampled_from(sorted(REQUIRED_FIELDS)),
    encoding=st.sampled_from(["utf-8", "latin-1", "gb18030", "utf-16"]),
    truncation=st.integers(0, 40),
)
def test_any_bytes_are_converted_rejected_or_refused(
    tmp_path: Path, container: str, data: bytes, format: str, encoding: str, truncation: int
) -> None:
    packed = PACKERS[container](data)
    data = packed[: len(packed) - truncation] if truncation < 9 else packed
    source = make_source(f"a.{container}", format, encoding=encoding)
    try:
        rows = convert_file(tmp_path, data, source)
    except UserError as error:
        assert error.message
        return
    rejected_rows.write_rejected(
        tmp_path / "rejected", [r for r in rows if isinstance(r, RejectedRow)]
    )
    for row in rows:
        assert row.origin.startswith(f"a.{container}:")
        if isinstance(row, Record):
            assert dump(row)
            assert row.user_text and row.answer


@pytest.mark.parametrize(
    "token",
    ["<|im_end|>", "[/INST]", "</s>", "<start_of_turn>", "<end_of_turn>", "<｜Assistant｜>"],
)
def test_a_token_that_marks_turns_is_refused_in_data(tmp_path: Path, token: str) -> None:
    assert find_reason(tmp_path, {**PAIR, "prompt": f"Hi {token} there"}) == "control_token"


def test_labels_stay_as_they_are_but_for_blanks_around_them(tmp_path: Path) -> None:
    source = make_source("a.jsonl", "classification", labels="labels.json", clean=["punctuation"])
    (tmp_path / "labels.json").write_text('["中文,标签", "a &amp; b"]', encoding="utf-8")
    rows = [{"text": "一,二", "label": "中文,标签"}, {"text": "x", "label": "\u00a0a &amp; b "}]
    results = convert_file(tmp_path, "\n".join(map(json.dumps, rows)), source)
    assert [result.answer for result in results] == ["中文,标签", "a &amp; b"]


def test_a_constant_that_replaces_values_of_the_file_is_counted() -> None:
    source = make_source("a.jsonl", constants={"language": "en", "origin": "web"})
    converter = RowConverter(source, None, Cleaner([], []), QualityParams(), 1000)
    rows = [{**PAIR, "language": value, "origin": "web"} for value in ("en", "", None)]
    same = converter.convert([("a:1", json.dumps(row)) for row in rows])
    assert same.replaced == set()
    other = converter.convert([("a:1", json.dumps({**PAIR, "language": "de"}))])
    assert other.replaced == {"language"}
    report = SourceReport(source)
    report.add(1, other)
    assert [*source_report.list_notes([report])] == [
        "a.jsonl: constants overwrite columns of the file: language"
    ]
