"""Parsing of messages, tool calls and tool definitions, and the check of their order."""

from typing import Any

from lockstep.data import row_fields
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.sources import Source
from lockstep.records import Message

ROLES = {
    **dict.fromkeys(("system", "sys", "developer"), "system"),
    **dict.fromkeys(("user", "usr", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function"), "tool"),
    "function_call": "tool_call",
}
"""Role names in common use and the roles they stand for; a source may add others. `tool_call` is
an assistant message that consists of tool calls."""

_ALLOWED_NEXT = {
    "start": {"user"},
    "user": {"assistant", "call"},
    "assistant": {"user"},
    "call": {"tool"},
    "tool": {"tool", "assistant", "call"},
}
"""Kinds of messages that may follow each kind; `call` is an assistant message with tool calls."""


def parse_text_or_messages(value: Any, name: str, role: str, source: Source) -> list[Message]:
    """Return the messages in a field; a plain text becomes one message of `role`."""
    if isinstance(value, list | dict):
        return parse_messages([value] if isinstance(value, dict) else value, name, source)
    return [{"role": role, "content": row_fields.check_text(value, name)}]


def parse_answer(value: Any, name: str, source: Source) -> list[Message]:
    """Return the messages in a field; raise InvalidRowError if the last is not an assistant's."""
    messages = parse_text_or_messages(value, name, "assistant", source)
    if messages[-1]["role"] != "assistant":
        raise InvalidRowError("ends_without_answer")
    return messages


def parse_messages(value: Any, name: str, source: Source) -> list[Message]:
    """Return the messages in a list, or in the JSON text of a list."""
    if isinstance(value, str):  # a cell of a table
        value = row_fields.parse_json(value, name)
    if not isinstance(value, list) or not value:
        raise InvalidRowError(f"missing_{name}")
    return [_parse_message(message, source) for message in value]


def parse_tool_calls(value: Any) -> list[dict[str, Any]]:
    """Return tool calls in the form that chat templates read, with arguments as an object."""
    if isinstance(value, str):
        value = row_fields.parse_json(value, "tool_call")
    calls = []
    for call in value if isinstance(value, list) else [value]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise InvalidRowError("tool_call_without_name")
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            arguments = row_fields.parse_json(arguments, "tool_call_arguments")
        if not isinstance(arguments, dict):
            raise InvalidRowError("tool_call_arguments_not_an_object")
        row_fields.check_all_texts([function["name"], arguments])
        call_id = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
        parsed = {"name": function["name"], "arguments": arguments}
        calls.append({**call_id, "type": "function", "function": parsed})
    if not calls:
        raise InvalidRowError("tool_call_without_name")
    return calls


def parse_tools(value: Any) -> list[dict[str, Any]]:
    """Return tool definitions in OpenAI's form; bare functions are wrapped."""
    if isinstance(value, str):
        value = row_fields.parse_json(value, "tools")
    tools = []
    for tool in value if isinstance(value, list) else [value]:
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise InvalidRowError("tool_without_name")
        row_fields.check_all_texts(function)
        tools.append({"type": "function", "function": function})
    return tools


def check_order(messages: list[Message], source: Source) -> list[Message]:
    """Return the messages if their order is valid; otherwise raise InvalidRowError.

    Consecutive messages of one role are joined if the source allows it. Messages of the format
    `text` are not checked.
    """
    if source.format == "text":
        return messages
    checked: list[Message] = []
    previous = "start"
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "system":
            if index:
                raise InvalidRowError("system_turn_not_first")
            checked.append(message)
            continue
        kind = "call" if "tool_calls" in message else role
        if kind in _ALLOWED_NEXT[previous]:
            checked.append(message)
        elif previous in ("user", "assistant") and checked[-1]["role"] == role:
            if source.same_role == "reject":
                raise InvalidRowError(f"two_{role}_turns")
            checked[-1] = _join_messages(checked[-1], message)
        else:
            raise InvalidRowError(f"{kind}_after_{previous}")
        previous = kind
    if previous not in ("assistant", "call"):
        raise InvalidRowError("ends_without_answer")
    return checked


def _parse_message(value: Any, source: Source) -> Message:
    """Return a message in the form of OpenAI (`role`, `content`) or ShareGPT (`from`, `value`)."""
    if not isinstance(value, dict):
        raise InvalidRowError("turn_not_an_object")
    name = value.get("role", value.get("from"))
    role = source.roles.get(name, ROLES.get(name)) if isinstance(name, str) else None
    if role is None:
        raise InvalidRowError("unknown_role" if name is not None else "missing_role")
    content = value.get("content", value.get("value"))
    if role == "tool_call":
        return {"role": "assistant", "content": "", "tool_calls": parse_tool_calls(content)}
    message: Message = {"role": role, "content": ""}
    if isinstance(content, list):
        _add_parts(content, message)
    elif not (content in (None, "") and value.get("tool_calls")):
        message["content"] = row_fields.check_text(content, "content")
    if value.get("tool_calls"):
        message["tool_calls"] = parse_tool_calls(value["tool_calls"])
    if value.get("reasoning_content") not in (None, ""):
        reasoning = row_fields.check_text(value["reasoning_content"], "reasoning")
        row_fields.check_all_texts(reasoning)
        message["reasoning_content"] = reasoning
    for key in ("tool_call_id", "name"):
        if isinstance(value.get(key), str):
            row_fields.check_all_texts(value[key])
            message[key] = value[key]
    if role != "assistant" and "tool_calls" in message:
        raise InvalidRowError(f"tool_calls_of_{role}")
    if not message["content"] and "tool_calls" not in message:
        raise InvalidRowError("empty_content")
    return message


def _add_parts(parts: list[Any], message: Message) -> None:
    """Add typed parts of content (text, reasoning and tool calls) to a message."""
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise InvalidRowError("content_part_without_type")
        value = part.get("value", part.get(part["type"]))
        match part["type"]:
            case "text":
                message["content"] += row_fields.check_text(value, "content")
            case "reasoning":
                message["reasoning_content"] = row_fields.check_text(value, "reasoning")
                row_fields.check_all_texts(value)
            case "tool_call":
                message.setdefault("tool_calls", []).extend(parse_tool_calls(value))
            case _:
                raise InvalidRowError("content_part_not_text")


def _join_messages(first: Message, second: Message) -> Message:
    """Return one message with the contents of both, separated by an empty line."""
    joined = {**first, **second}
    for key in ("content", "reasoning_content"):
        if key in joined:
            texts = [message[key] for message in (first, second) if message.get(key)]
            joined[key] = "\n\n".join(texts)
    return joined
