"""Which requests and records are compared, and how their texts are read."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep import predictions, records
from lockstep.drift import compared_texts
from lockstep.drift.compared_texts import LoggedTexts
from lockstep.errors import UserError
from lockstep.predictions import Prediction
from lockstep.records import Record
from lockstep.serving.logs.text_masking import TextMasker


def build_request(*turns: str, **values: Any) -> dict[str, Any]:
    """Return a logged request whose turns are those of the user and the assistant by turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]
    return {"time": 100.0, "status": 200, "messages": messages, "answer": "yes", **values}


def read(folder: Path, *requests: dict[str, Any], since: float = 0.0) -> LoggedTexts:
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    (folder / "requests.jsonl").write_text(lines, encoding="utf-8")
    return compared_texts.read_requests(folder, since, TextMasker(), np.random.default_rng(0))


def list_texts(logged: LoggedTexts) -> list[str]:
    return sorted(item.text for item in logged.texts)


def test_the_last_request_of_a_conversation_counts(tmp_path: Path) -> None:
    logged = read(
        tmp_path,
        build_request("hello"),
        build_request("hello", "hi", "where is my order?"),
        build_request("hello", "hi", "where is my order?"),
        build_request("hello", "hi", "a refund please"),
        build_request("hello", "hi", "where is my order?", "in Lyon", "thanks"),
    )
    assert list_texts(logged) == ["hello\na refund please", "hello\nwhere is my order?\nthanks"]
    assert (logged.requests, logged.conversations, logged.users) == (5, 2, 2)


def test_a_user_counts_once_and_so_do_equal_texts(tmp_path: Path) -> None:
    logged = read(
        tmp_path,
        *(build_request(f"question {number}", user="one") for number in range(20)),
        build_request("Where is it?", user="two"),
        build_request("where  is it?", user="three"),
    )
    assert (logged.requests, logged.conversations, logged.users) == (22, 22, 3)
    assert len(logged.texts) == 2


def test_only_answered_requests_with_texts_since_a_time_count(tmp_path: Path) -> None:
    without_text = build_request("x")
    del without_text["messages"]
    logged = read(
        tmp_path,
        build_request("old", time=50.0),
        build_request("refused", status=429),
        without_text,
        build_request("new"),
        since=60.0,
    )
    assert list_texts(logged) == ["new"]


def test_parts_of_a_request(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "a@b.example"},
    ]
    logged = read(
        tmp_path,
        build_request(messages=messages, answered_by="tuned"),
        build_request("to the base", answered_by="base"),
        build_request(messages=[{"role": "text", "content": "Once upon"}]),
    )
    by_text = {item.text: item for item in logged.texts}
    assert by_text.keys() == {"[EMAIL]", "to the base", "Once upon"}
    assert (by_text["[EMAIL]"].system, by_text["[EMAIL]"].answer) == ("Be kind.", "yes")
    assert by_text["to the base"].answer == ""


def build_record(question: str, answer: str = "a", task: str = "intent", **values: Any) -> Record:
    messages = [
        {"role": "system", "content": "Name it."},
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]
    common = {"source": "train.csv", "origin": "train.csv:1"}
    return Record(messages=messages, task=task, **{**common, **values})


def write_splits(data: Path, train: Sequence[Record], test: Sequence[Record] = ()) -> None:
    folder = data / "prepared"
    folder.mkdir(parents=True)
    records.write(folder / "train.jsonl", train)
    records.write(folder / "test.jsonl", test)


def test_training_records_are_masked_and_count_once_per_group(tmp_path: Path) -> None:
    train = [
        *(build_record(f"question {number}", group="one user") for number in range(5)),
        build_record("mail a@b.example"),
        build_record("write a poem", task="reply"),
    ]
    write_splits(tmp_path, train)
    rng = np.random.default_rng(0)
    texts = compared_texts.read_training_texts(tmp_path, ["intent"], TextMasker(), rng)
    assert len(texts) == 2
    assert "mail [EMAIL]" in {item.text for item in texts}
    assert {item.system for item in texts} == {"Name it."}
    assert len(compared_texts.read_training_texts(tmp_path, [], TextMasker(), rng)) == 3
    with pytest.raises(UserError, match=r"no training record has the task 'orders'.*intent, reply"):
        compared_texts.read_training_texts(tmp_path, ["orders"], TextMasker(), rng)


def test_labels_are_predictions_for_records_like_training(tmp_path: Path) -> None:
    test = [
        build_record("one", "a"),
        build_record("two", "a", source="other.csv"),
        build_record("three", "a", task="reply"),
    ]
    write_splits(tmp_path, [build_record("zero", "c")], test)
    assert compared_texts.read_label_sample(tmp_path, []) == ["c"]
    folder = tmp_path / "predicted/merged"
    folder.mkdir(parents=True)
    row = Prediction(
        id="", task="intent", slices={}, question="", prompt="", reference="a", prediction="b"
    )
    rows = [replace(row, id=record.id, task=record.task) for record in test]
    predictions.write(folder / "predictions.jsonl", rows)
    assert compared_texts.read_label_sample(tmp_path, []) == ["b", "b"]
    assert compared_texts.read_label_sample(tmp_path, ["intent"]) == ["b"]


def test_missing_training_records_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.jsonl: not found; run `make`"):
        compared_texts.read_training_texts(tmp_path, [], TextMasker(), np.random.default_rng(0))
