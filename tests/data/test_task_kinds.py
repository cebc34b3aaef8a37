"""Each task is described by the kind of its answers, its slices and its sizes."""

import pytest

from lockstep.data import data_card, task_kinds, traits
from lockstep.data.label_studio import Vote
from lockstep.records import Message, Record
from tests.data import rows


def record(answer: str | Message, question: str = "Q", **more: object) -> Record:
    last = answer if isinstance(answer, dict) else {"role": "assistant", "content": answer}
    turns = [{"role": "user", "content": question}] * bool(question)
    values = {"task": "t", "source": "a.jsonl", "origin": "a.jsonl:1", **more}
    return Record(messages=[*turns, last], **values)  # type: ignore[arg-type]


CALL = {"type": "function", "function": {"name": "track", "arguments": {}}}
CALLING: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}


@pytest.mark.parametrize(
    ("example", "kind"),
    [
        (record("Hello"), "text"),
        (record('{"a": 1}'), "json"),
        (record(' ["a"]\n'), "json"),
        (record("{a: 1}"), "text"),
        (record("7"), "text"),
        (record("[7] of 8"), "text"),
        (record(CALLING), "calls"),
        (record("Hello", rejected="No"), "preference"),
        (record('{"a": 1}', rejected="No"), "preference"),
        (record("Hello", desirable=False), "unpaired_preference"),
        (record('{"a": 1}', question=""), "plain_text"),
    ],
)
def test_a_record_shows_the_kind_of_its_answer(example: Record, kind: str) -> None:
    assert traits.answer_kind(example) == kind


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        ({"json"}, "json"),
        ({"json", "text"}, "text"),
        ({"plain_text"}, "plain_text"),
        ({"plain_text", "text"}, "text"),
        ({"calls", "text", "json"}, "calls"),
        ({"label", "text"}, "label"),
        ({"label", "labels"}, "labels"),
        ({"preference", "text"}, "preference"),
    ],
)
def test_a_task_of_several_kinds_has_one(kinds: set[str], kind: str) -> None:
    assert task_kinds.task_kind(kinds) == kind


def test_formats_and_annotations_determine_the_kind_of_a_source() -> None:
    formats = {
        "c.csv": "classification", "m.csv": "multi_label", "r.csv": "regression",
        "chosen.json": "label_studio", "rated.json": "label_studio", "typed.json": "label_studio",
        "chat.jsonl": "messages",
    }  # fmt: skip
    sources = [rows.source(format, path=path) for path, format in formats.items()]
    votes = [
        ("chosen.json", Vote("1", "7", "yes", "choices")),
        ("rated.json", Vote("1", "7", "4", "rating")),
        ("typed.json", Vote("1", "7", "Hello", "text")),
    ]
    assert task_kinds.source_kinds(sources, votes) == {
        "c.csv": "label", "m.csv": "labels", "r.csv": "number",
        "chosen.json": "label", "rated.json": "number",
    }  # fmt: skip


def test_slices_are_those_of_any_record_and_records_are_counted_by_split() -> None:
    parts = {
        "train": data_card.part(
            [
                record("yes", source="c.csv", slices={"language": "en"}),
                record("no", source="c.csv", slices={"difficulty": "hard"}),
                record("Hello", task="chat"),
            ]
        ),
        "validation": data_card.part([record("no", source="c.csv")]),
        "test": data_card.part([record('{"a": 1}', task="slots")]),
    }
    assert task_kinds.describe_tasks(parts, {"c.csv": "label"}) == {
        "t": {
            "kind": "label",
            "slices": ["difficulty", "language"],
            "records": {"train": 2, "validation": 1, "test": 0},
        },
        "chat": {
            "kind": "text",
            "slices": [],
            "records": {"train": 1, "validation": 0, "test": 0},
        },
        "slots": {
            "kind": "json",
            "slices": [],
            "records": {"train": 0, "validation": 0, "test": 1},
        },
    }
