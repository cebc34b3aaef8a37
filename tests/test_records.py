"""The canonical record: a line is the record, an id is its content."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep import records
from lockstep.errors import UserError
from lockstep.records import Record

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT}
    ),
    min_size=1,
)
RECORDS = st.builds(
    Record,
    messages=TURNS,
    task=TEXT,
    source=TEXT,
    origin=TEXT,
    slices=st.dictionaries(TEXT, TEXT),
    weight=st.floats(min_value=0, allow_infinity=False),
    rejected=st.none() | TEXT,
    desirable=st.none() | st.booleans(),
    tools=st.lists(st.dictionaries(TEXT, TEXT), max_size=2),
    group=TEXT,
    language=TEXT,
    quality=st.floats(0, 1),
)


def example(question: str = "How much?", answer: str = "€5", **more: Any) -> Record:
    values: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        "task": "reply",
        "source": "a.csv",
        "origin": "a.csv:2",
        **more,
    }
    return Record(**values)


@given(RECORDS)
def test_a_line_is_the_record(record: Record) -> None:
    line = records.dump(record)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert records.load(line) == record
    assert records.dump(records.load(line)) == line


@given(RECORDS, TEXT, TEXT, st.dictionaries(TEXT, TEXT), st.floats(0, 9))
def test_the_id_depends_on_what_a_model_sees_alone(
    record: Record, source: str, origin: str, slices: dict[str, str], weight: float
) -> None:
    messages = [dict(reversed(turn.items())) for turn in record.messages]
    same = replace(
        record, messages=messages, source=source, origin=origin, slices=slices, weight=weight
    )
    assert same.id == record.id


def test_the_id_changes_with_the_content() -> None:
    ids = {
        example().id,
        example(question="How much").id,
        example(answer="€6").id,
        example(task="slots").id,
        example(messages=[*example().messages, *example().messages]).id,
        example(rejected="€7").id,
        example(desirable=False).id,
        example(tools=[{"type": "function"}]).id,
    }
    assert len(ids) == 8
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in ids)


def test_a_line_shows_id_and_every_field_in_sorted_order() -> None:
    values = json.loads(records.dump(example(slices={"language": "en"}, weight=2.0)))
    said = ["id", "language", "messages", "origin", "quality", "slices", "source", "task", "weight"]
    assert list(values) == said
    more = {"rejected": "€7", "desirable": False, "tools": [{"type": "function"}], "group": "u1"}
    assert sorted([*said, *more]) == list(json.loads(records.dump(example(**more))))
    assert values["id"] == example().id
    assert records.dump(example(answer="价")).count("价".encode()) == 1, "readable, not escaped"


def test_prompt_question_and_answer_of_a_long_conversation() -> None:
    turns = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q1"},
        {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "q2"},
        {"role": "assistant", "content": "a2"},
    ]
    record = example(messages=turns)
    assert (record.question, record.answer, record.prompt) == ("q2", "a2", turns[:-1])
    child = record.with_question(str.upper, origin="parent:shout")
    assert [turn["content"] for turn in child.messages] == ["s", "q1", "a1", "Q2", "a2"]
    assert child.origin == "parent:shout"
    assert record.question == "q2", "the parent stays as it was"


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [example("b\u2028b"), example("a\r\na"), example("b\u2028b")]
    records.write(tmp_path / "train.jsonl", iter(rows))
    assert list(records.read(tmp_path / "train.jsonl")) == rows


@given(st.lists(RECORDS, max_size=30), st.integers(0, 40))
def test_spread_records_are_as_many_as_asked_in_their_order(
    rows: list[Record], number: int
) -> None:
    taken = records.sample_evenly(rows, number)
    assert len(taken) == min(number, len(rows))
    places = [next(i for i, row in enumerate(rows) if row is one) for one in taken]
    assert places == sorted(places)


def test_spread_records_are_at_equal_distances() -> None:
    rows = [example(str(number)) for number in range(10)]
    assert [row.question for row in records.sample_evenly(rows, 5)] == ["0", "2", "4", "6", "8"]


@pytest.mark.parametrize(
    "line", [b"3\n", b'{"id": "a", "messages": [\n', b"{}\n", b'{"id": 1, "x": 2}\n']
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "train.jsonl"
    whole = Record(messages=[{"role": "user", "content": "a"}], task="t", source="s", origin="o")
    records.write(file, [whole])
    file.write_bytes(file.read_bytes() + line)
    with pytest.raises(UserError, match=r"train\.jsonl:2: not a record; run `dvc repro`"):
        list(records.read(file))
