"""Persona-Chat's shapes: candidates after growing histories, lists of texts, and plain lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.data.source_report import SourceReport
from lockstep.records import Record
from tests.data.rows.test_row_formats import find_reason, make_turns, parse_row
from tests.data.test_source_reading import find_error, read

TEXTS = ("Rain today ?", "yes .", "tomorrow ?", "no .")
PERSONA = ["i like rain .", "i am a gardener ."]
SYSTEM = {"role": "system", "content": "i like rain .\ni am a gardener ."}
UTTERANCES = [
    {"candidates": ["blue .", "yes ."], "history": [*TEXTS[:1]]},
    {"candidates": ["a cat .", "no ."], "history": [*TEXTS[:3]]},
]


def read_file(folder: Path, **source: Any) -> tuple[list[Record], dict[str, str], SourceReport]:
    dialogues = {"train": [{"personality": PERSONA, "utterances": UTTERANCES}], "valid": []}
    (folder / "a.json").write_text(json.dumps(dialogues))
    records, rejected, (report,) = read(folder, {"path": "a.json", "rows": "train", **source})
    return records, rejected, report


def test_the_last_candidate_after_each_history_is_the_answer(tmp_path: Path) -> None:
    columns = {"messages": "utterances", "system": "personality"}
    (record,), rejected, report = read_file(tmp_path, format="messages", columns=columns)
    assert record.messages == [SYSTEM, *make_turns(*TEXTS)] and not rejected
    assert report.noted == {"answers_with_candidates": 1} and not report.unknown_columns
    line = "no column messages; it has personality, utterances: set columns: {messages: utterances}"
    assert line in find_error(tmp_path, {"path": "a.json", "format": "messages"})


def test_each_answer_may_be_a_record_below_its_persona(tmp_path: Path) -> None:
    columns = {"prompt": "history", "completion": "candidates.-1", "system": "personality"}
    source = {"rows": "train.*.utterances", "format": "prompt_completion", "columns": columns}
    records, rejected, report = read_file(tmp_path, **source)
    assert [record.messages for record in records] == [
        [SYSTEM, *make_turns(*TEXTS[:2])], [SYSTEM, *make_turns(*TEXTS)],
    ]  # fmt: skip
    assert report.noted == {"turns_in_list": 1} and not rejected


def change(number: int, **values: Any) -> list[dict[str, Any]]:
    return [turn | values if i == number else turn for i, turn in enumerate(UTTERANCES)]


@pytest.mark.parametrize(
    ("utterances", "reason"),
    [
        (change(0, candidates=["yes .", "blue ."]), "histories_differ"),
        (change(1, history=["Snow ?", "yes .", "tomorrow ?"]), "histories_differ"),
        (change(1, candidates=[]), "missing_candidates"),
        (change(1, candidates=[7]), "content_not_text"),
        (UTTERANCES[1:] + UTTERANCES[:1], "histories_differ"),
        ([{"candidates": ["hi ."], "history": ["yes .", "Rain ?"]}], "assistant_after_start"),
        ([{"candidates": ["hi ."], "history": []}], "assistant_after_start"),
    ],
)
def test_what_does_not_grow_is_rejected(utterances: list[Any], reason: str) -> None:
    assert find_reason("messages", {"messages": utterances}, unanswered="drop") == reason


def test_silence_in_place_of_a_turn_is_noted() -> None:
    turn = {"candidates": ["hi ."], "history": ["__ SILENCE __"]}
    assert "placeholder_text" in parse_row("messages", {"messages": [turn]}).notes


def test_a_prompt_of_texts_ends_with_the_question() -> None:
    conversation = parse_row("prompt_completion", {"prompt": [*TEXTS[:3]], "completion": TEXTS[3]})
    assert conversation.messages == make_turns(*TEXTS)
    assert conversation.notes == {"turns_in_list": "prompt has 3"}
    alone = parse_row("prompt_completion", {"prompt": ["Rain?"], "completion": "Yes."})
    assert alone.messages == make_turns("Rain?", "Yes.") and not alone.notes
    named = {"prompt": ["System: Be brief.", "User: Rain?"], "completion": "Yes."}
    even = {"prompt": [*TEXTS[:2]], "completion": TEXTS[2]}
    assert find_reason("prompt_completion", even) == "assistant_after_start"
    assert find_reason("prompt_completion", named) == "assistant_after_start"


@pytest.mark.parametrize("separator", ["\n", " __eou__ ", "\t"])
def test_a_separator_divides_a_text_into_turns(separator: str) -> None:
    text = separator.join(TEXTS) + separator.rstrip(" ")
    for format, field in (("messages", "messages"), ("sharegpt", "conversations")):
        conversation = parse_row(format, {field: text}, turn_separator=separator.strip(" "))
        assert conversation.messages == make_turns(*TEXTS)
    assert find_reason("messages", {"messages": text}) == "messages_not_turns"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Rain?|Yes.|Why?", "ends_without_answer"),
        ("Rain?||Why?|So.", "empty_content"),
        ("Rain?", "ends_without_answer"),
        ("", "missing_messages"),
    ],
)
def test_a_text_that_does_not_alternate_is_rejected(text: str, reason: str) -> None:
    assert find_reason("messages", {"messages": text}, turn_separator="|") == reason
