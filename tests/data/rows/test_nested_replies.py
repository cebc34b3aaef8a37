"""A tree of turns gives its best-ranked thread, and what is left out is counted."""

from pathlib import Path
from typing import Any

import pytest

from tests.data.rows.test_row_formats import find_reason, make_turns
from tests.data.test_source_reading import find_error, read, write_rows

Turn = dict[str, Any]


def make_turn(role: str, text: str, *replies: Turn, **values: Any) -> Turn:
    """Return a turn with the keys of OpenAssistant's trees."""
    turn = {"message_id": text, "role": role, "text": text, "lang": "en", "deleted": False}
    return {**turn, "created_date": "2023-02-05", **values, "replies": [*replies]}


ROOT = make_turn(
    "prompter",
    "Rain?",
    make_turn("assistant", "No idea.", rank=1),
    make_turn("assistant", "Yes.", make_turn("prompter", "Why?"), rank=0),
    make_turn("assistant", "Spam", rank=None),
)
TREES = {"format": "messages", "columns": {"messages": "prompt"}}


def test_the_best_thread_is_read_and_the_rest_is_counted(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"message_tree_id": "m", "prompt": ROOT}])
    source = TREES | {"unanswered": "drop", "slices": ["prompt.lang"]}
    (record,), rejected, (report,) = read(tmp_path, source)
    assert record.messages == make_turns("Rain?", "Yes.") and record.slices == {"prompt.lang": "en"}
    assert not rejected and report.first_noted == {
        "tree_of_turns": "a.jsonl:1: 3 of 5 turns are read"
    }


def test_a_tree_without_branches_has_no_note(tmp_path: Path) -> None:
    write_rows(
        tmp_path, [{"prompt": make_turn("prompter", "Rain?", make_turn("assistant", "Yes."))}]
    )
    (record,), _, (report,) = read(tmp_path, TREES)
    assert record.messages == make_turns("Rain?", "Yes.") and not report.noted


def test_deleted_turns_are_left_out_with_their_replies(tmp_path: Path) -> None:
    gone = make_turn("assistant", "Spam", make_turn("prompter", "What?"), rank=0, deleted=True)
    root = make_turn("prompter", "Rain?", gone, make_turn("assistant", "Yes.", rank=1))
    write_rows(tmp_path, [{"prompt": root}])
    assert read(tmp_path, TREES)[0][0].messages == make_turns("Rain?", "Yes.")
    assert find_reason("messages", {"messages": root | {"deleted": True}}) == "turn_is_deleted"


def test_a_row_may_be_a_tree_without_roles(tmp_path: Path) -> None:
    tree = {"text": "Rain?", "children": [{"text": "Yes.", "children": []}, {"text": "No."}]}
    write_rows(tmp_path, [tree, tree | {"text": "Sun?"}])
    assert "set columns: {messages: row}" in find_error(tmp_path, {"format": "messages"})
    source = {"format": "messages", "columns": {"messages": "row"}}
    records, rejected, (report,) = read(tmp_path, source)
    assert [record.messages for record in records] == [
        make_turns("Rain?", "Yes."), make_turns("Sun?", "Yes."),
    ]  # fmt: skip
    assert not rejected and report.noted == {"tree_of_turns": 2} and not report.unknown_columns


def test_the_column_of_the_trees_is_proposed(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"tree_state": "ready", "prompt": ROOT}])
    line = (
        "no column conversations; it has tree_state, prompt: set columns: {conversations: prompt}"
    )
    assert line in find_error(tmp_path, {"format": "sharegpt"})


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (["Yes."], "turn_not_an_object"),
        ([{"role": "assistant", "mood": "sad"}], "unknown_turn_key"),
    ],
)
def test_what_is_no_turn_is_rejected(replies: list[Any], reason: str) -> None:
    assert find_reason("messages", {"messages": ROOT | {"replies": replies}}) == reason
