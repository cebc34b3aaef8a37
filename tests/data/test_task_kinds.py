"""Each task is described by the kind of its answers, its slices and its sizes."""

import pytest

from lockstep.data import data_card, task_kinds
from lockstep.data.label_studio.voting import Vote
from lockstep.data.record_metadata import find_answer_kind
from lockstep.records import Message, Record
from tests.data.examples import make_source


def make_record(answer: str | Message, question: str = "Q", **values: object) -> Record:
    last = answer if isinstance(answer, dict) else {"role": "assistant", "content": answer}
    messages = [{"role": "user", "content": question}, last] if question else [last]
    defaults = {"task": "t", "source": "a.jsonl", "origin": "a.jsonl:1"}
    return Record(messages=messages, **{**defaults, **values})  # type: ignore[arg-type]


CALL = {"type": "function", "function": {"name": "track", "arguments": {}}}
CALLING: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (make_record("Hello"), "text"),
        (make_record('{"a": 1}'), "json"),
        (make_record(' ["a"]\n'), "json"),
        (make_record("{a: 1}"), "text"),
        (make_record("7"), "text"),
        (make_record("[7] of 8"), "text"),
        (make_record(CALLING), "calls"),
        (make_record("Hello", rejected="No"), "preference"),
        (make_record('{"a": 1}', rejected="No"), "preference"),
        (make_record("Hello", desirable=False), "unpaired_preference"),
        (make_record('{"a": 1}', question=""), "plain_text"),
    ],
)
def test_the_kind_of_an_answer_follows_from_its_record(record: Record, kind: str) -> None:
    assert find_answer_kind(record) == kind


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
        ({"rules", "json"}, "rules"),
    ],
)
def test_a_task_with_several_kinds_of_answers_gets_one_kind(kinds: set[str], kind: str) -> None:
    assert task_kinds.choose_kind(kinds) == kind


def test_settings_and_annotations_determine_the_kind_of_a_source() -> None:
    formats = {
        "c.csv": "classification", "m.csv": "multi_label", "r.csv": "regression",
        "chosen.json": "label_studio", "rated.json": "label_studio", "typed.json": "label_studio",
        "chat.jsonl": "messages",
    }  # fmt: skip
    sources = [make_source(format, path=path) for path, format in formats.items()]
    sources.append(make_source("classification", path="xstest.csv", answer="refusal"))
    votes = [
        ("chosen.json", Vote("1", "7", "yes", "choices")),
        ("rated.json", Vote("1", "7", "4", "rating")),
        ("typed.json", Vote("1", "7", "Hello", "text")),
    ]
    assert task_kinds.find_source_kinds(sources, votes) == {
        "c.csv": "label", "m.csv": "labels", "r.csv": "number",
        "chosen.json": "label", "rated.json": "number", "xstest.csv": "refusal",
    }  # fmt: skip


def test_a_task_has_the_slices_of_all_its_records_and_its_size_in_each_split() -> None:
    train = [
        make_record("yes", source="c.csv", slices={"language": "en"}),
        make_record("no", source="c.csv", slices={"difficulty": "hard"}),
        make_record("Hello", task="chat"),
    ]
    splits = {
        "train": data_card.compute_statistics(train),
        "validation": data_card.compute_statistics([make_record("no", source="c.csv")]),
        "test": data_card.compute_statistics([make_record('{"a": 1}', task="slots")]),
    }
    source = make_source("classification", path="c.csv")
    assert task_kinds.describe_tasks(splits, [source], votes=[]) == {
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
