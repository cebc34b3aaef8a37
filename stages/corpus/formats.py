"""A row in one of the accepted formats -> the conversation in it."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stages.corpus import strict_json
from stages.corpus.rejection import UnfitError
from stages.corpus.sources import Source
from stages.records import Message

Row = dict[str, Any]

CONTROL_TOKEN = re.compile(r"<\|[A-Za-z0-9_]+\|>|\[/?INST\]|</?s>")
"""Spellings that chat templates use for turns: inside data they would forge one."""

ROLES = {
    **dict.fromkeys(("system", "sys", "developer"), "system"),
    **dict.fromkeys(("user", "usr", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function"), "tool"),
    "function_call": "tool_call",
}
"""The names of roles in use; a source may map more. `tool_call` is an assistant's turn."""

_TRUTHS = {True: True, False: False, "true": True, "false": False}

_NEXT = {
    "start": {"user"},
    "user": {"assistant", "call"},
    "assistant": {"user"},
    "call": {"tool"},
    "tool": {"tool", "assistant", "call"},
}
"""What may follow a turn; a call is an assistant's turn that calls tools."""


@dataclass(slots=True)
class Conversation:
    """What a row says, before its source adds what it says of all its rows."""

    messages: list[Message]
    """Ends with the answer to be learnt."""
    rejected: str | None = None
    """preference: the answer that lost."""
    desirable: bool | None = None
    """unpaired_preference: whether the answer is one to be learnt or to be avoided."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions that the assistant may call, as JSON schemas."""


def conversation(row: Row, source: Source) -> Conversation:
    """The conversation of a row; UnfitError says why it has none."""
    read = FORMATS[source.format](row, source)
    tools = _value(row, source, "tools")
    if tools not in (None, "", []):
        read.tools = _tools(tools)
    system = _value(row, source, "system") if "system" in source.columns else None
    told = _checked(system, "system") if system not in (None, "") else source.system
    if told and read.messages[0]["role"] != "system" and source.format != "text":
        read.messages.insert(0, {"role": "system", "content": told})
    read.messages = _in_turn(read.messages, source)
    return read


def _alpaca(row: Row, source: Source) -> Conversation:
    extra = _value(row, source, "input")
    prompt = _field(row, source, "instruction")
    if extra not in (None, ""):
        prompt = f"{prompt}\n{_checked(extra, 'input')}"
    turns = [*_history(row, source), ("user", prompt)]
    turns.append(("assistant", _field(row, source, "output")))
    return Conversation([{"role": role, "content": text} for role, text in turns])


def _history(row: Row, source: Source) -> Iterator[tuple[str, str]]:
    """Earlier (question, answer) pairs."""
    pairs = _value(row, source, "history") or []
    if isinstance(pairs, str):
        pairs = _json(pairs, "history")
    if not isinstance(pairs, list):
        raise UnfitError("history_not_pairs")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise UnfitError("history_not_pairs")
        yield "user", _checked(pair[0], "history")
        yield "assistant", _checked(pair[1], "history")


def _messages(row: Row, source: Source) -> Conversation:
    return Conversation(_turns(_needed(row, source, "messages"), "messages", source))


def _sharegpt(row: Row, source: Source) -> Conversation:
    return Conversation(_turns(_needed(row, source, "conversations"), "conversations", source))


def _prompt_completion(row: Row, source: Source) -> Conversation:
    prompt = _said(_needed(row, source, "prompt"), "prompt", "user", source)
    return Conversation(prompt + _answer(_needed(row, source, "completion"), "completion", source))


def _preference(row: Row, source: Source) -> Conversation:
    """`prompt`, `chosen` and `rejected`; or two transcripts that differ in the last turn alone."""
    chosen = _said(_needed(row, source, "chosen"), "chosen", "assistant", source)
    rejected = _said(_needed(row, source, "rejected"), "rejected", "assistant", source)
    if len(chosen) == len(rejected) == 1:
        prompt = _said(_needed(row, source, "prompt"), "prompt", "user", source)
    else:
        prompt = chosen[:-1]
        if rejected[:-1] != prompt:
            raise UnfitError("transcripts_differ_before_the_answer")
    if rejected[-1]["role"] != "assistant" or "tool_calls" in rejected[-1]:
        raise UnfitError("rejected_is_no_answer")
    if chosen[-1]["content"] == rejected[-1]["content"]:
        raise UnfitError("chosen_equals_rejected")
    return Conversation([*prompt, chosen[-1]], rejected=rejected[-1]["content"])


def _unpaired_preference(row: Row, source: Source) -> Conversation:
    """`prompt` and `completion`, or `messages` that end with it, and a `label` of true or false."""
    if source.column("messages") in row:
        read = _messages(row, source)
    else:
        read = _prompt_completion(row, source)
    label = _needed(row, source, "label")
    if isinstance(label, str):
        label = label.strip().lower()
    if not isinstance(label, bool | int | str) or label not in _TRUTHS:
        raise UnfitError("label_not_true_or_false")
    read.desirable = _TRUTHS[label]
    return read


def _classification(row: Row, source: Source) -> Conversation:
    return _pair(_field(row, source, "text"), _field(row, source, "label"))


def _regression(row: Row, source: Source) -> Conversation:
    value = _needed(row, source, "value")
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UnfitError("value_not_a_number")
    return _pair(_field(row, source, "text"), f"{number:.15g}")


def _text(row: Row, source: Source) -> Conversation:
    return Conversation([{"role": "assistant", "content": _field(row, source, "text")}])


FORMATS: dict[str, Callable[[Row, Source], Conversation]] = {
    "alpaca": _alpaca,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt_completion": _prompt_completion,
    "preference": _preference,
    "unpaired_preference": _unpaired_preference,
    "classification": _classification,
    "regression": _regression,
    "text": _text,
    "label_studio": _classification,
}


def _pair(prompt: str, answer: str) -> Conversation:
    return Conversation(
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    )


def _said(value: Any, name: str, role: str, source: Source) -> list[Message]:
    """Turns from a text, which `role` says, from one turn or from a list of turns."""
    if isinstance(value, list | dict):
        return _turns([value] if isinstance(value, dict) else value, name, source)
    return [{"role": role, "content": _checked(value, name)}]


def _answer(value: Any, name: str, source: Source) -> list[Message]:
    turns = _said(value, name, "assistant", source)
    if turns[-1]["role"] != "assistant":
        raise UnfitError("ends_without_answer")
    return turns


def _turns(turns: Any, name: str, source: Source) -> list[Message]:
    if isinstance(turns, str):  # a table holds them as JSON
        turns = _json(turns, name)
    if not isinstance(turns, list) or not turns:
        raise UnfitError(f"missing_{name}")
    return [_turn(turn, source) for turn in turns]


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
        return {"role": "assistant", "content": "", "tool_calls": _calls(content)}
    message: Message = {"role": role, "content": ""}
    if isinstance(content, list):
        _read_parts(content, message)
    elif not (content in (None, "") and turn.get("tool_calls")):
        message["content"] = _checked(content, "content")
    if turn.get("tool_calls"):
        message["tool_calls"] = _calls(turn["tool_calls"])
    for key in ("tool_call_id", "name", "reasoning_content"):
        if isinstance(turn.get(key), str):
            _check_texts(turn[key])
            message[key] = turn[key]
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
                message["content"] += _checked(value, "content")
            case "reasoning":
                message["reasoning_content"] = _checked(value, "reasoning")
                _check_texts(value)
            case "tool_call":
                message.setdefault("tool_calls", []).extend(_calls(value))
            case _:
                raise UnfitError("content_part_not_text")


def _calls(value: Any) -> list[dict[str, Any]]:
    """Tool calls as chat templates read them, arguments as an object."""
    if isinstance(value, str):
        value = _json(value, "tool_call")
    calls = []
    for call in value if isinstance(value, list) else [value]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UnfitError("tool_call_without_name")
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            arguments = _json(arguments, "tool_call_arguments")
        if not isinstance(arguments, dict):
            raise UnfitError("tool_call_arguments_not_an_object")
        _check_texts([function["name"], arguments])
        known = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
        named = {"name": function["name"], "arguments": arguments}
        calls.append({**known, "type": "function", "function": named})
    if not calls:
        raise UnfitError("tool_call_without_name")
    return calls


def _tools(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        value = _json(value, "tools")
    tools = []
    for tool in value if isinstance(value, list) else [value]:
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UnfitError("tool_without_name")
        _check_texts(function)
        tools.append({"type": "function", "function": function})
    return tools


def _check_texts(value: Any) -> None:
    """Refuse a control token, NUL or lone surrogate in any text of a JSON value."""
    if isinstance(value, str) and CONTROL_TOKEN.search(_encodable(value)):
        raise UnfitError("control_token")
    if isinstance(value, dict):
        _check_texts([*value, *value.values()])
    elif isinstance(value, list):
        for part in value:
            _check_texts(part)


def _in_turn(messages: list[Message], source: Source) -> list[Message]:
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
    texts = [message["content"] for message in (one, other) if message["content"]]
    return {**one, **other, "content": "\n\n".join(texts)}


def word(row: Row, source: Source, name: str) -> str:
    """What a row says of itself in the column that the source names for it; "" for no column."""
    if name not in source.columns:
        return ""
    value = slice_value(row, source.columns[name])
    if not value:
        raise UnfitError(f"empty_{name}")
    return value


def slice_value(row: Row, column: str) -> str:
    """A text or whole number by which figures are broken down."""
    value = row.get(column)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise UnfitError(f"missing_{column}")
    return _encodable(str(value))


def _value(row: Row, source: Source, name: str) -> Any:
    """An optional field: the column that the source names must be there, any other may lack."""
    column = source.column(name)
    if name in source.columns and column not in row:
        raise UnfitError(f"missing_{name}")
    return row.get(column)


def _needed(row: Row, source: Source, name: str) -> Any:
    column = source.column(name)
    if row.get(column) is None:
        raise UnfitError(f"missing_{name}" if column not in row else f"{name}_is_null")
    return row[column]


def _field(row: Row, source: Source, name: str) -> str:
    return _checked(_needed(row, source, name), name)


def _checked(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise UnfitError(f"{name}_is_null" if value is None else f"{name}_not_text")
    if not value.strip():
        raise UnfitError(f"empty_{name}")
    return _encodable(value)


def _encodable(value: str) -> str:
    if "\0" in value:
        raise UnfitError("nul_character")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise UnfitError("lone_surrogate") from None
    return value


def _json(text: str, name: str) -> Any:
    try:
        return strict_json.parse(text)
    except UnfitError:
        raise UnfitError(f"{name}_not_json") from None
