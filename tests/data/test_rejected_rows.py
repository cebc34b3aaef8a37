"""A rejected row says what was found, or what would help."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockstep import data
from lockstep.data.cleaning.cleaner import Cleaner
from lockstep.data.quality import QualityParams
from lockstep.data.rejected_rows import InvalidRowError, RejectedRow
from lockstep.data.rows.row_conversion import RowConverter
from tests.data.examples import make_source


def reject(row: Any, format: str, **settings: Any) -> RejectedRow:
    """Return the rejected row that a row becomes."""
    converter = RowConverter(
        make_source(format, **settings), None, Cleaner([], []), QualityParams(), 1000
    )
    text = row if isinstance(row, str) else json.dumps(row)
    (rejected,) = converter.convert([("a.jsonl:1", text)]).rejected
    return rejected


def list_errors() -> Iterator[tuple[str, ast.Call]]:
    """Yield the place and the call of each InvalidRowError in lockstep/data."""
    folder = Path(data.__path__[0])
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InvalidRowError":
                yield f"{path.relative_to(folder)}:{node.lineno}", node


def test_every_reason_has_a_detail() -> None:
    errors = dict(list_errors())
    assert len(errors) > 50
    for place, call in errors.items():
        if not any(keyword.arg == "detail" for keyword in call.keywords):
            reason = ast.literal_eval(call.args[0])
            assert InvalidRowError(reason).detail, f"{place}: {reason} has no detail"


USER, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
TOOL = {"role": "tool", "content": "c"}


@pytest.mark.parametrize(
    ("turns", "line"),
    [
        ([USER, ANSWER, TOOL, ANSWER], "tool_after_assistant (at turn 3: the turn before calls no "
         "tool; if its call is plain text, set roles: {tool: user})"),
        ([ANSWER, USER, ANSWER], "assistant_after_start (at turn 1: a turn of user comes first; "
         "put a greeting into the system message, or remove it)"),
        ([USER], "ends_without_answer (the last turn is one of user; remove it or answer it)"),
        ("Hi there", 'messages_not_turns (messages holds "Hi there": neither a list of turns nor a '
         "text whose turns begin with Human: and Assistant:, User: and Assistant:, or names in "
         "roles of the source; for turns that alternate, set turn_separator to what stands between "
         "them)"),
    ],
)  # fmt: skip
def test_turns_in_a_wrong_order_are_explained(turns: Any, line: str) -> None:
    assert str(reject({"messages": turns}, "messages")) == f"a.jsonl:1: {line}"


def test_the_remedy_for_calls_that_are_plain_text_helps() -> None:
    source = make_source("messages", roles={"tool": "user"})
    converter = RowConverter(source, None, Cleaner([], []), QualityParams(), 1000)
    row = {"messages": [USER, ANSWER, TOOL, ANSWER]}
    assert len(converter.convert([("a.jsonl:1", json.dumps(row))]).records) == 1


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ({"text": "a", "odd": 1}, "the row has text, odd; columns: {label: …} names another "
         "column"),
        ({"text": "a", "label": None}, "fill it, or leave such rows out by where: label != null"),
        ({"text": ["a"], "label": "b"}, 'it is ["a"]; columns can name a part of it by a path'),
        ({"text": " ", "label": "b"}, "fill it, or leave the row out by where"),
        ({"text": "a\0", "label": "b"}, "a text has the character NUL; remove it, or correct "
         "encoding if the file is UTF-16"),
        ('{"text": "a" "label": 1}', "Expecting ',' delimiter at character 14"),
        ('{"text": "a", "lab', "the file ends within this row; download or export it again, or "
         "remove the line"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_read_is_explained(row: Any, detail: str) -> None:
    assert reject(row, "classification").detail == detail


def test_a_code_without_a_name_is_shown() -> None:
    rejected = reject({"text": "a", "label": 7}, "classification", label_names=["x", "y"])
    assert rejected.detail == "label_names has no '7'; add it"
