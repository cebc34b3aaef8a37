"""A record is one canonical JSON line, and its id is a hash of its content."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockstep import records
from lockstep.errors import UserError
from lockstep.records import Record

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT}
    ),
    min_size=1,
)
RECORDS = st.builds(
    Record,
    messages=MESSAGES,
    task=TEXT,
    source=TEXT,
    origin=TEXT,
    slices=st.dictionaries(TEXT, TEXT),
    weight=st.floats(min_value=0, allow_infinity=False),
    rejected=st.none() | TEXT,
    desirable=st.none() | st.booleans(),
    tools=st.lists(st.dictionaries(TEXT, TEXT), max_size=2),
    accepted_calls=st.none() | st.lists(st.dictionaries(TEXT, TEXT), max_size=2),
    group=TEXT,
    language=TEXT,
    quality=st.floats(0, 1),
)


def make_record(question: str = "How much?", answer: str = "€5", **values: Any) -> Record:
    defaults: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        "task": "reply",
        "source": "a.csv",
        "origin": "a.csv:2",
    }
    return Record(**{**defaults, **values})


@given(RECORDS)
def test_a_line_is_parsed_back_to_its_record(record: Record) -> None:
    line = records.dump(record)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert records.load(line) == record
    assert records.dump(records.load(line)) == line


@given(RECORDS, TEXT, TEXT, st.dictionaries(TEXT, TEXT), st.floats(0, 9))
def test_the_id_depends_only_on_what_is_asked_learnt_and_scored(
    record: Record, source: str, origin: str, slices: dict[str, str], weight: float
) -> None:
    messages = [dict(reversed(message.items())) for message in record.messages]
    copy = replace(
        record, messages=messages, source=source, origin=origin, slices=slices, weight=weight
    )
    assert copy.id == record.id


def test_the_id_changes_with_the_content() -> None:
    ids = {
        make_record().id,
        make_record(question="How much").id,
        make_record(answer="€6").id,
        make_record(task="slots").id,
        make_record(messages=[*make_record().messages, *make_record().messages]).id,
        make_record(rejected="€7").id,
        make_record(rejected={"role": "assistant", "content": "€7", "reasoning_content": "?"}).id,
        make_record(desirable=False).id,
        make_record(tools=[{"type": "function"}]).id,
        make_record(rejected="€7", margin=1.0).id,
        make_record(rejected="€7", margin=2.0).id,
        make_record(accepted_calls=[]).id,
        make_record(accepted_calls=[{"name": "lamp", "accepted_arguments": {}}]).id,
    }
    assert len(ids) == 13
    assert all(len(record_id) == 16 and int(record_id, 16) >= 0 for record_id in ids)


def test_a_line_has_the_id_and_every_field_in_sorted_order() -> None:
    values = json.loads(records.dump(make_record(slices={"language": "en"}, weight=2.0)))
    keys = ["id", "language", "messages", "origin", "quality", "slices", "source", "task", "weight"]
    assert list(values) == keys
    optional: dict[str, Any] = {
        "rejected": "€7",
        "desirable": False,
        "tools": [{"type": "function"}],
        "group": "u1",
        "margin": 1.5,
    }
    assert sorted([*keys, *optional]) == list(json.loads(records.dump(make_record(**optional))))
    assert values["id"] == make_record().id
    assert records.dump(make_record(answer="价")).count("价".encode()) == 1, "readable, not escaped"


def test_a_rejected_answer_may_be_a_text_or_a_message() -> None:
    pair = make_record(rejected="€7", margin=2.0)
    assert pair.with_rejected().messages == [*pair.prompt, {"role": "assistant", "content": "€7"}]
    call = {"type": "function", "function": {"name": "price", "arguments": {}}}
    worse = {"role": "assistant", "content": "", "tool_calls": [call]}
    pair = make_record(rejected=worse)
    assert pair.with_rejected().messages == [*pair.prompt, worse]
    assert records.load(records.dump(pair)) == pair


def test_a_long_conversation_has_a_prompt_a_question_and_an_answer() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q1"},
        {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "q2"},
        {"role": "assistant", "content": "a2"},
    ]
    record = make_record(messages=messages)
    assert (record.question, record.answer, record.prompt) == ("q2", "a2", messages[:-1])
    child = record.with_question(str.upper, origin="parent:shout")
    assert [message["content"] for message in child.messages] == ["s", "q1", "a1", "Q2", "a2"]
    assert child.origin == "parent:shout"
    assert record.question == "q2", "the parent is unchanged"


@given(st.integers(-(2**200), 2**200))
@example(123456789012345678901234)
@example(2**64 + 1)
def test_an_integer_of_any_length_is_exact(number: int) -> None:
    call = {"type": "function", "function": {"name": "track", "arguments": {"parcel": number}}}
    messages = [
        {"role": "user", "content": "12345678901234567890"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    record = replace(make_record(), messages=messages)
    assert records.load(records.dump(record)) == record
    assert json.loads(record.answer)["arguments"]["parcel"] == number
    assert record.id != replace(record, messages=messages[:1]).id


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [make_record("b\u2028b"), make_record("a\r\na"), make_record("b\u2028b")]
    records.write(tmp_path / "train.jsonl", iter(rows))
    assert list(records.read(tmp_path / "train.jsonl")) == rows


@given(st.lists(RECORDS, max_size=30), st.integers(0, 40))
def test_a_sample_has_the_requested_size_and_keeps_the_order(
    rows: list[Record], number: int
) -> None:
    sample = records.sample_evenly(rows, number)
    assert len(sample) == min(number, len(rows))
    indices = [next(i for i, row in enumerate(rows) if row is record) for record in sample]
    assert indices == sorted(indices)


def test_sampled_records_are_at_equal_distances() -> None:
    rows = [make_record(str(number)) for number in range(10)]
    assert [row.question for row in records.sample_evenly(rows, 5)] == ["0", "2", "4", "6", "8"]


@pytest.mark.parametrize(
    "line", [b"3\n", b'{"id": "a", "messages": [\n', b"{}\n", b'{"id": 1, "x": 2}\n']
)
def test_an_invalid_line_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "train.jsonl"
    records.write(file, [make_record()])
    file.write_bytes(file.read_bytes() + line)
    with pytest.raises(UserError, match=r"train\.jsonl:2: not a record; run `dvc repro`"):
        list(records.read(file))


def test_the_reference_is_the_answer_or_the_calls_that_are_right() -> None:
    calls = [{"name": "lamp", "accepted_arguments": {"level": [1, ""]}}]
    assert make_record(answer="No.").reference == "No."
    assert make_record(answer="No.", accepted_calls=[]).reference == "[]"
    assert json.loads(make_record(accepted_calls=calls).reference) == calls


def test_records_without_margin_and_right_calls_keep_the_ids_of_earlier_releases() -> None:
    """The ids are those of the code before margins and right calls became part of them."""
    assert make_record().id == "f48df321fe40927f"
    assert make_record(rejected="€7").id == "3d592ae85d67f265"
    assert make_record(tools=[{"type": "function"}]).id == "54b6bf2c668aa8b6"
    assert b"accepted_calls" not in records.dump(make_record())
