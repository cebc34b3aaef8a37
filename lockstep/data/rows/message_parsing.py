"""Parsing of lists of messages, and the check of their order."""

import re
from typing import Any

from lockstep.data import strict_json
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields, turn_parsing
from lockstep.data.sources import Source
from lockstep.records import Message

_TURN_LIST = re.compile(r"""\s*\[\s*\{\s*["'](?:role|content|from|value)["']\s*:""")
_PYTHON_TURN_LIST = re.compile(r"""\s*\[\s*\{.*'(?:role|from)'\s*:\s*'""", re.DOTALL)

_ALLOWED_NEXT = {
    "start": {"user"},
    "user": {"assistant", "call"},
    "assistant": {"user"},
    "call": {"tool"},
    "tool": {"tool", "assistant", "call"},
}
"""Kinds of messages that may follow each kind; `call` is an assistant message with tool calls."""


_REMEDIES = {
    ("tool", "start"): ": a result needs the call before it",
    ("tool", "user"): ": a result needs a call of the assistant before it",
    ("tool", "assistant"): ": the turn before calls no tool; if its call is plain text, set "
    "roles: {tool: user}",
    ("assistant", "start"): ": a turn of user comes first; put a greeting into the system message, "
    "or remove it",
    ("assistant", "call"): ": the call has no result; add a turn of tool",
    ("user", "call"): ": the call has no result; add a turn of tool",
    ("call", "call"): ": the call before has no result; add a turn of tool, or join the calls",
    ("call", "start"): ": a turn of user comes first",
    ("call", "assistant"): ": a turn of user comes between; same_role: join joins no calls",
    ("user", "tool"): ": an answer of the assistant to the result is missing",
}
"""(Kind of message, kind before it) -> what is wrong and how to repair it."""


def parse_text_or_messages(value: Any, name: str, role: str, source: Source) -> list[Message]:
    """Return the messages in a field; a plain text becomes one message of `role`.

    The JSON text of a list of turns, as in a cell of a table, is read as turns.
    """
    if isinstance(value, str) and "[" in value and _TURN_LIST.match(value):
        value = _parse_turn_list(value, name)
    if isinstance(value, list | dict):
        return parse_messages([value] if isinstance(value, dict) else value, name, source)
    return [{"role": role, "content": row_fields.check_text(value, name)}]


def _parse_turn_list(text: str, name: str) -> Any:
    """Return the turns in a text if it is a list of them, otherwise the text."""
    try:
        turns = strict_json.parse(text)
    except InvalidRowError:
        if not _PYTHON_TURN_LIST.match(text):
            return text
        raise InvalidRowError(
            f"{name}_not_json", detail="the turns are neither JSON nor valid in Python's notation"
        ) from None
    is_list = all(isinstance(turn, dict) and turn.keys() & {"role", "from"} for turn in turns)
    return turns if is_list else text


def parse_answer(value: Any, name: str, source: Source) -> list[Message]:
    """Return the messages in a field; raise InvalidRowError if the last is not an assistant's."""
    messages = parse_text_or_messages(value, name, "assistant", source)
    if messages[-1]["role"] != "assistant":
        raise InvalidRowError(
            "ends_without_answer",
            detail=f"the last turn of {name} is one of {messages[-1]['role']}",
        )
    return messages


def parse_messages(value: Any, name: str, source: Source) -> list[Message]:
    """Return the messages in a list, or in the JSON text of a list."""
    if isinstance(value, str):  # a cell of a table
        value = row_fields.parse_json(value, name)
    if not isinstance(value, list) or not value:
        raise InvalidRowError(
            f"missing_{name}", detail=f"{name} holds {show_value(value)}, not a list of turns"
        )
    return [message for turn in value for message in turn_parsing.parse_turn(turn, source)]


def drop_unlearnt_end(messages: list[Message]) -> list[Message]:
    """Return the messages up to the last one that may be learnt, which becomes the answer.

    What follows it has no effect on the loss. Raise InvalidRowError if nothing may be learnt.
    """
    end = len(messages)
    while end and (
        messages[end - 1]["role"] != "assistant" or messages[end - 1].get("weight") == 0
    ):
        end -= 1
    if not end:
        raise InvalidRowError("nothing_to_learn", detail="weights leave out each assistant turn")
    answer = {key: value for key, value in messages[end - 1].items() if key != "weight"}
    return [*messages[: end - 1], answer]


def check_order(messages: list[Message], source: Source) -> list[Message]:
    """Return the messages if their order is valid; otherwise raise InvalidRowError.

    Consecutive messages of one role are joined if the source allows it. Messages of the format
    `text` are not checked.
    """
    if source.format == "text" or _is_question_and_answer(messages):
        return messages
    checked: list[Message] = []
    previous = "start"
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "system":
            if index:
                has_answer = any(message["role"] == "assistant" for message in messages)
                remedy = "; if it is an answer, map its name, as in roles: {SYSTEM: assistant}"
                raise InvalidRowError(
                    "system_turn_not_first",
                    detail=f"turn {index + 1} is a system turn{'' if has_answer else remedy}",
                )
            checked.append(message)
            continue
        kind = "call" if "tool_calls" in message else role
        if kind in _ALLOWED_NEXT[previous]:
            checked.append(message)
        elif previous in ("user", "assistant") and checked[-1]["role"] == role:
            if source.same_role == "reject":
                raise InvalidRowError(
                    f"two_{role}_turns",
                    detail=f"turns {index} and {index + 1}; same_role: join makes them one",
                )
            checked[-1] = _join_messages(checked[-1], message)
        else:
            remedy = _REMEDIES.get((kind, previous), "")
            raise InvalidRowError(f"{kind}_after_{previous}", detail=f"at turn {index + 1}{remedy}")
        previous = kind
    if previous not in ("assistant", "call"):
        remedy = ", or set unanswered: drop" if previous == "user" and len(checked) > 1 else ""
        raise InvalidRowError(
            "ends_without_answer",
            detail=f"the last turn is one of {previous}; remove it or answer it{remedy}",
        )
    return checked


def _is_question_and_answer(messages: list[Message]) -> bool:
    """Whether a conversation is a question and its answer, as most are."""
    return (
        len(messages) == 2
        and messages[0]["role"] == "user"
        and messages[1]["role"] == "assistant"
        and "tool_calls" not in messages[1]
    )


def _join_messages(first: Message, second: Message) -> Message:
    """Return one message with the contents of both, separated by an empty line."""
    if first.get("weight") != second.get("weight"):
        raise InvalidRowError(
            "joined_turns_differ_in_weight",
            detail=f"one may be learnt, the other not: {show_value(second['content'])}",
        )
    joined = {**first, **second}
    for key in ("content", "reasoning_content"):
        if key in joined:
            texts = [message[key] for message in (first, second) if message.get(key)]
            joined[key] = "\n\n".join(texts)
    return joined
