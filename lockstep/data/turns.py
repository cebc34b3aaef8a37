"""Turns of a conversation: who says what, and what may follow it."""

from typing import Any

from lockstep.data import fields, tool_definitions
from lockstep.data.rejection import UnfitError
from lockstep.data.sources import Source
from lockstep.records import Message

ROLES = {
    **dict.fromkeys(("system", "sys", "developer"), "system"),
    **dict.fromkeys(("user", "usr", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function"), "tool"),
    "function_call": "tool_call",
}
"""The names of roles in use; a source may map more. `tool_call` is an assistant's turn."""

_NEXT = {
    "start": {"user"},
    "user": {"assistant", "call"},
    "assistant": {"user"},
    "call": {"tool"},
    "tool": {"tool", "assistant", "call"},
}
"""What may follow a turn; a call is an assistant's turn that calls tools."""


def said(value: Any, name: str, role: str, source: Source) -> list[Message]:
    """Turns from a text, which `role` says, from one turn or from a list of turns."""
    if isinstance(value, list | dict):
        return listed([value] if isinstance(value, dict) else value, name, source)
    return [{"role": role, "content": fields.checked(value, name)}]


def answered(value: Any, name: str, source: Source) -> list[Message]:
    """The same of an answer: the last turn is an assistant's."""
    messages = said(value, name, "assistant", source)
    if messages[-1]["role"] != "assistant":
        raise UnfitError("ends_without_answer")
    return messages


def listed(value: Any, name: str, source: Source) -> list[Message]:
    """Turns from a list of them, or from the JSON of one."""
    if isinstance(value, str):  # a table holds them so
        value = fields.parsed(value, name)
    if not isinstance(value, list) or not value:
        raise UnfitError(f"missing_{name}")
    return [_turn(turn, source) for turn in value]


def _turn(turn: Any, source: Source) -> Message:
    """A turn as OpenAI (`role`, `content`) or ShareGPT (`from`, `value`) write it."""
    if not isinstance(turn, dict):
        raise UnfitError("turn_not_an_object")
    name = turn.get("role", turn.get("from"))
    role = source.roles.get(name, ROLES.get(name)) if isinstance(name, str) else None
    if role is None:
        raise UnfitError("unknown_role" if name is not None else "missing_role")
    content = turn.get("content", turn.get("value"))
    if role == "tool_call":
        return {"role": "assistant", "content": "", "tool_calls": tool_definitions.calls(content)}
    message: Message = {"role": role, "content": ""}
    if isinstance(content, list):
        _read_parts(content, message)
    elif not (content in (None, "") and turn.get("tool_calls")):
        message["content"] = fields.checked(content, "content")
    if turn.get("tool_calls"):
        message["tool_calls"] = tool_definitions.calls(turn["tool_calls"])
    if turn.get("reasoning_content") not in (None, ""):
        thought = fields.checked(turn["reasoning_content"], "reasoning")
        fields.check_texts(thought)
        message["reasoning_content"] = thought
    for key in ("tool_call_id", "name"):
        if isinstance(turn.get(key), str):
            fields.check_texts(turn[key])
            message[key] = turn[key]
    if role != "assistant" and "tool_calls" in message:
        raise UnfitError(f"tool_calls_of_{role}")
    if not message["content"] and "tool_calls" not in message:
        raise UnfitError("empty_content")
    return message


def _read_parts(parts: list[Any], message: Message) -> None:
    """Content in typed parts: text, reasoning and tool calls."""
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise UnfitError("content_part_without_type")
        value = part.get("value", part.get(part["type"]))
        match part["type"]:
            case "text":
                message["content"] += fields.checked(value, "content")
            case "reasoning":
                message["reasoning_content"] = fields.checked(value, "reasoning")
                fields.check_texts(value)
            case "tool_call":
                message.setdefault("tool_calls", []).extend(tool_definitions.calls(value))
            case _:
                raise UnfitError("content_part_not_text")


def in_turn(messages: list[Message], source: Source) -> list[Message]:
    """The messages, if each follows what it may; turns of one role joined where that is wanted."""
    if source.format == "text":
        return messages
    joined: list[Message] = []
    before = "start"
    for at, message in enumerate(messages):
        role = message["role"]
        if role == "system":
            if at:
                raise UnfitError("system_turn_not_first")
            joined.append(message)
            continue
        kind = "call" if "tool_calls" in message else role
        if kind in _NEXT[before]:
            joined.append(message)
        elif before in ("user", "assistant") and joined[-1]["role"] == role:
            if source.same_role == "reject":
                raise UnfitError(f"two_{role}_turns")
            joined[-1] = _join(joined[-1], message)
        else:
            raise UnfitError(f"{kind}_after_{before}")
        before = kind
    if before not in ("assistant", "call"):
        raise UnfitError("ends_without_answer")
    return joined


def _join(one: Message, other: Message) -> Message:
    joined = {**one, **other}
    for key in ("content", "reasoning_content"):
        if key in joined:
            texts = [message[key] for message in (one, other) if message.get(key)]
            joined[key] = "\n\n".join(texts)
    return joined
