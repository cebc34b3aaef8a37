"""Options of the chat template beside a conversation are read, and the others are noted."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from tests.data.rows.test_learnt_turns import TOOLS
from tests.data.rows.test_transcripts import parse
from tests.data.test_source_reading import read, write_rows

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SYSTEM = {"role": "system", "content": "Be nice."}


@pytest.mark.parametrize("write", [dict, json.dumps])
def test_instructions_and_tools_are_read(write: Any) -> None:
    texts = [json.dumps(tool) for tool in TOOLS]
    options = {"custom_instructions": "Be nice.", "xml_tools": texts, "python_tools": []}
    conversation = parse({"messages": TURNS, "chat_template_kwargs": write(options)})
    assert conversation.messages == [SYSTEM, *TURNS]
    assert conversation.tools == TOOLS
    assert not conversation.notes


def test_a_system_turn_counts_and_other_options_are_noted(tmp_path: Path) -> None:
    options = {"custom_instructions": "Be brief.", "enable_thinking": False, "tools": None}
    row = {"messages": [SYSTEM, *TURNS], "chat_template_kwargs": options}
    write_rows(tmp_path, [row, {"messages": TURNS, "chat_template_kwargs": None}])
    (record, _), _, (report,) = read(tmp_path, {"format": "messages"})
    assert record.messages == [SYSTEM, *TURNS]
    assert report.noted == {"chat_template_kwargs": 1}
    assert report.first_noted["chat_template_kwargs"] == (
        'a.jsonl:1: enable_thinking: false, custom_instructions: "Be brief."'
    )
    assert report.unknown_columns == []
    _, _, (report,) = read(
        tmp_path, {"format": "messages", "ignored_fields": ["chat_template_kwargs"]}
    )
    assert not report.noted


def test_options_that_are_no_object_are_refused() -> None:
    with pytest.raises(InvalidRowError, match="chat_template_kwargs_not_an_object"):
        parse({"messages": TURNS, "chat_template_kwargs": [1]})
