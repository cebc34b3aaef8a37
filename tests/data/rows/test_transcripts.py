"""Conversations in one text are read as turns, and unclear ones are rejected by name."""

from typing import Any

import pytest

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import row_formats
from lockstep.data.rows.conversation import Conversation
from tests.data.examples import make_source

FUNCTION = '{\n    "name": "weather",\n    "parameters": {"type": "object", "properties": {}}\n}'
INTRODUCTION = (
    "SYSTEM: You are a helpful assistant with access to the following functions. "
    "Use them if required -"
)
CHAT = r"""USER: Weather in Bern?


ASSISTANT: <functioncall> {"name": "weather", "arguments": '{"city": "Bern", "day": "it\'s today"}'} <|endoftext|>


FUNCTION RESPONSE: {"t": 3}


ASSISTANT: It is 3 degrees.
USER error. <|endoftext|>


"""  # noqa: E501  # as it is published


def parse(row: dict[str, Any], format: str = "messages", **settings: Any) -> Conversation:
    (conversation,) = row_formats.parse_row(row, make_source(format, **settings))
    return conversation


def list_texts(conversation: Conversation) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in conversation.messages]


def find_error(row: dict[str, Any]) -> InvalidRowError:
    with pytest.raises(InvalidRowError) as error:
        parse(row)
    return error.value


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Human: ", "Assistant: "),
        ("USER:", "ASSISTANT:"),
        ("User: ", "Assistant: "),
        ("### Human: ", "### Assistant: "),
        ("### User:\n", "### Assistant:\n"),
        ("用户：", "助手："),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\n\n", "\r\n", "\n\n\n"])
def test_turns_begin_with_the_usual_names(question: str, answer: str, end: str) -> None:
    texts = [f"{question}a b?", f"{answer}c, {answer}d.", f"{question}e?", f"{answer}f."]
    conversation = parse({"messages": end.join(texts)})
    assert list_texts(conversation) == [
        ("user", "a b?"), ("assistant", f"c, {answer}d."), ("user", "e?"), ("assistant", "f."),
    ]  # fmt: skip


def test_every_conversational_format_with_turns_reads_a_transcript() -> None:
    text = "System: Be kind.\nUser: a\nAssistant: b"
    expected = [("system", "Be kind."), ("user", "a"), ("assistant", "b")]
    assert list_texts(parse({"conversations": text}, "sharegpt")) == expected
    row = {"messages": text, "label": True}
    assert list_texts(parse(row, "unpaired_preference")) == expected


def test_names_in_roles_mark_turns() -> None:
    roles = {"Kunde": "user", "Berater": "assistant"}
    conversation = parse({"messages": "Kunde: a\nBerater: b"}, roles=roles)
    assert list_texts(conversation) == [("user", "a"), ("assistant", "b")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Hello there.", "messages_not_turns"),
        ("We said:\nUser: a\nAssistant: b", "messages_not_turns"),
        ("User: a, then Assistant: b", "messages_not_turns"),
        ("User: a\nBot: b", "messages_not_turns"),
        ("User: a\n\nAssistant: b\nUser: c\n\nAssistant: d\n\nUser: e\n\nAssistant: f",
         "unclear_transcript"),
        ("User: a\nUser: b\nAssistant: c", "two_user_turns"),
        ("User: a\nAssistant: b\nUser: c\nAssistant:", "ends_without_answer"),
        ("User:\nAssistant: b", "empty_content"),
        ("USER: a\nASSISTANT: <functioncall> {x}", "tool_call_not_json"),
        ("USER: a\nASSISTANT: I use <functioncall> {} here", "tool_call_inside_text"),
        ("USER: a\nASSISTANT: b <|endoftext|> c\nUSER: d\nASSISTANT: e", None),
    ],
)  # fmt: skip
def test_an_unclear_text_is_rejected_by_name(text: str, reason: str | None) -> None:
    if reason is None:  # only the mark at the end of a turn is left out
        assert "<|endoftext|>" in parse({"messages": text}).messages[1]["content"]
        return
    error = find_error({"messages": text})
    assert str(error) == reason
    assert error.detail or reason == "empty_content"


def test_rounds_may_be_separated_in_another_way_than_turns() -> None:
    text = "User: a\nAssistant: b\n\nUser: c\nAssistant: d"
    assert [role for role, _ in list_texts(parse({"messages": text}))] == [
        "user", "assistant", "user", "assistant",
    ]  # fmt: skip


def test_function_calling_data_of_glaive_is_read() -> None:
    row = {"system": f"{INTRODUCTION}\n{FUNCTION}\n\n{FUNCTION}", "chat": CHAT}
    conversation = parse(row, columns={"messages": "chat"})
    assert list_texts(conversation) == [
        ("user", "Weather in Bern?"), ("assistant", ""), ("tool", '{"t": 3}'),
        ("assistant", "It is 3 degrees.\nUSER error."),
    ]  # fmt: skip
    (call,) = conversation.messages[1]["tool_calls"]
    assert call["function"] == {
        "name": "weather",
        "arguments": {"city": "Bern", "day": "it's today"},
    }
    assert [tool["function"]["name"] for tool in conversation.tools] == ["weather", "weather"]
    in_text = parse({"messages": f"{INTRODUCTION}\n{FUNCTION}\n\n\n{CHAT}"})
    assert in_text.messages == conversation.messages
    assert in_text.tools == conversation.tools[:1]


@pytest.mark.parametrize(
    ("system", "left"),
    [
        (f"{INTRODUCTION} Answer in French.\n{FUNCTION}", "Answer in French."),
        ("SYSTEM: You are Ann, with access to the following functions:\n[" + FUNCTION + "]",
         "You are Ann, with access to the following functions:"),
        ("SYSTEM: You are a helpful assistant, with no access to external functions.\n",
         "You are a helpful assistant, with no access to external functions."),
        ("SYSTEM: Rules:\n[1] Be kind.", "Rules:\n[1] Be kind."),
    ],
)  # fmt: skip
def test_an_introduction_stays_if_it_says_more_than_that_there_are_functions(
    system: str, left: str
) -> None:
    row = {"system": system, "messages": "USER: a\nASSISTANT: b"}
    assert list_texts(parse(row))[0] == ("system", left)


def test_functions_that_are_not_json_reject_the_row() -> None:
    row = {"system": f"{INTRODUCTION}\n{FUNCTION[:-1]}", "messages": "USER: a\nASSISTANT: b"}
    assert str(find_error(row)) == "tools_not_json"
