"""Parsing of one turn of a conversation, under the names that public files give to its keys."""

import json
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import (
    content_parts,
    field_synonyms,
    row_fields,
    textual_calls,
    tool_parsing,
)
from lockstep.data.rows.content_parts import Content
from lockstep.data.sources import Source
from lockstep.records import Message

ROLES = {
    **dict.fromkeys(("system", "sys", "developer", "系统"), "system"),
    **dict.fromkeys(("user", "usr", "human", "prompter", "用户", "问"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "model", "bot", "chatgpt", "ai", "助手", "答"), "assistant"
    ),
    **dict.fromkeys(
        ("tool", "observation", "function", "tool_response", "tool_result"), "tool"
    ),
    **dict.fromkeys(("function_call", "tool_call", "tool_calls"), "tool_call"),
}  # fmt: skip
"""Role names in common use and the roles they stand for; a source may add others. `tool_call` is
an assistant message that consists of tool calls."""

_EMPTY_CELLS = ("[]", "{}", "null", "none", "nan")
"""Texts by which tables write that there is no image."""

_FLAG_VALUES = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}


def parse_turn(value: Any, source: Source) -> list[Message]:
    """Return the messages of a turn; several if it holds results of tools, as Anthropic's do.

    An assistant's message has `weight` 0 or 1 if the turn says whether it is learnt.
    """
    if not isinstance(value, dict):
        raise InvalidRowError(
            "turn_not_an_object",
            detail=f"a turn is {show_value(value)}, not an object with role and content",
        )
    if len(value) == 2 and isinstance(text := value.get("content", value.get("value")), str):
        role = look_up_role(value.get("role", value.get("from")), source)
        if role and role != "tool_call" and text.strip() and not _has_marks(text):
            return [{"role": role, "content": row_fields.check_characters(text)}]
    turn = _drop_unread_keys(value, source)
    role = _find_role(turn, source)
    content = _read_content(turn, value, role)
    message: Message = {"role": role, "content": content.text}
    if role == "tool_call":
        message["role"] = role = "assistant"
    if role == "assistant" and not content.calls and _has_marks(content.text):
        _read_textual_calls(content)
        message["content"] = content.text
    elif role == "tool":
        message["content"] = textual_calls.unwrap_response(content.text)
    if content.calls:
        message["tool_calls"] = content.calls
    if content.reasoning:
        message["reasoning_content"] = content.reasoning
    _add_names(turn, message)
    if role == "assistant" and (weight := _read_weight(turn)) is not None:
        message["weight"] = weight
    if role != "assistant" and (content.calls or content.reasoning):
        raise InvalidRowError(
            f"tool_calls_of_{role}" if content.calls else f"reasoning_of_{role}",
            detail="only the assistant has them; roles in the source can map the role",
        )
    has_content = content.text.strip() or content.calls or role == "tool"
    if content.results and role not in ("user", "tool"):
        raise InvalidRowError(
            f"tool_results_of_{role}", detail="only turns of user and tool have results of tools"
        )
    if content.results and (role == "tool" or not has_content):
        return content.results
    if not has_content:
        raise InvalidRowError("empty_content", detail=f"a turn of {role} has no text")
    return [*content.results, message]


def _has_marks(text: str) -> bool:
    """Whether a text may have calls, or the result of one, between tags."""
    return "<tool_" in text or "<functioncall>" in text


def _read_textual_calls(content: Content) -> None:
    """Move the calls at the end of a text, and the reasoning before them, to their places."""
    read = textual_calls.split_calls(content.text)
    if read is not None:
        if read.reasoning and content.reasoning:
            raise InvalidRowError("two_reasonings", detail="of a turn and in its text")
        content.text, content.calls = read.text, read.calls
        content.reasoning = content.reasoning or read.reasoning


def refuse_media(values: dict[str, Any], source: Source) -> None:
    """Raise InvalidRowError if a row or a turn has an image, a sound or a film."""
    for key in sorted(field_synonyms.MEDIA.keys() & values.keys()):
        value = values[key]
        is_absent = row_fields.is_empty(value) or str(value).strip().lower() in _EMPTY_CELLS
        if not is_absent and key not in source.ignored_fields:
            raise InvalidRowError(
                f"{field_synonyms.MEDIA[key]}_in_text_model",
                detail=f"{key} holds {show_value(value)}; if the text can be understood "
                f"without it, set ignored_fields: [{key}]",
            )


def _drop_unread_keys(value: dict[str, Any], source: Source) -> dict[str, Any]:
    """Return the keys of a turn that hold something; raise InvalidRowError for an unknown one."""
    turn = {
        key: child
        for key, child in value.items()
        if key not in source.ignored_fields and not row_fields.is_empty(child)
    }
    unknown = [key for key in turn if key not in field_synonyms.TURN_KEYS]
    if unknown:
        found = ", ".join(f"{key}: {show_value(turn[key], 40)}" for key in unknown)
        raise InvalidRowError(
            "unknown_turn_key",
            detail=f"a turn has {found}; remove it, or set ignored_fields: [{', '.join(unknown)}]",
        )
    refuse_media(turn, source)
    return turn


def _find_role(turn: dict[str, Any], source: Source) -> str:
    """Return the role that a turn names; `speaker` and `author` count if no other key names one."""
    key = next((key for key in field_synonyms.ROLE_KEYS if key in turn), None)
    if key is None or turn[key] is None:
        raise InvalidRowError("missing_role", detail=f"a turn has {', '.join(map(str, turn))}")
    role = look_up_role(turn[key], source)
    if role is None:
        raise InvalidRowError(
            "unknown_role",
            detail=f"the role is {show_value(turn[key])}; roles in the source can map it",
        )
    if key == "role" and look_up_role(turn.get("from"), source) not in (None, role):
        raise InvalidRowError("two_roles", detail=f"role is {role}, from is {turn['from']}")
    return role


def look_up_role(name: Any, source: Source) -> str | None:
    """Return the role that a name stands for; None if it is no name of a role."""
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str):
        return None
    return source.roles.get(name) or ROLES.get(name) or ROLES.get(name.strip().lower())


def _read_content(turn: dict[str, Any], row: dict[str, Any], role: str) -> Content:
    """Return text, reasoning and calls of a turn; `row` is the turn with its empty keys."""
    value = _read_only_value(turn, field_synonyms.CONTENT_KEYS, "contents")
    if role == "tool_call":
        content = Content(calls=tool_parsing.parse_tool_calls(value))
    elif isinstance(value, list) and (role != "tool" or _are_parts(value)):
        content = content_parts.parse_parts(value)
    else:
        content = Content(text=_read_text(value, turn, row, role))
    calls = _read_only_value(turn, ("tool_calls", "function_call"), "calls")
    if calls:
        content.calls += tool_parsing.parse_tool_calls(calls)
    reasoning = _read_only_value(turn, field_synonyms.REASONING_KEYS, "reasonings")
    if reasoning is not None and not (isinstance(reasoning, str) and not reasoning.strip()):
        row_fields.check_all_texts(row_fields.check_text(reasoning, "reasoning"))
        if content.reasoning not in ("", reasoning):
            raise InvalidRowError("two_reasonings", detail="of a turn and of its parts")
        content.reasoning = reasoning
    return content


def _read_text(value: Any, turn: dict[str, Any], row: dict[str, Any], role: str) -> str:
    """Return the text of a turn; "" if it calls tools, or if it is the result of one."""
    is_blank = value is None or (isinstance(value, str) and not value.strip())
    if is_blank and (role == "tool" or turn.get("tool_calls") or turn.get("function_call")):
        return ""
    if role == "tool" and isinstance(value, dict | list):
        row_fields.check_all_texts(value)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if value is None:
        keys = [key for key in field_synonyms.CONTENT_KEYS if key in row]
        is_null = all(row[key] is None for key in keys)
        raise InvalidRowError(
            "content_is_null" if is_null else "empty_content",
            detail=f"a turn of {role} has no text; its keys are {', '.join(map(str, row))}",
        )
    return row_fields.check_text(value, "content")


def _read_only_value(turn: dict[str, Any], keys: tuple[str, ...], name: str) -> Any:
    """Return the value of the keys that a turn has; raise InvalidRowError if they differ."""
    found = [key for key in keys if turn.get(key) is not None]
    if any(turn[key] != turn[found[0]] for key in found[1:]):
        raise InvalidRowError(f"two_{name}", detail=f"a turn has {' and '.join(found)}")
    return turn[found[0]] if found else None


def _read_weight(turn: dict[str, Any]) -> int | None:
    """Return 1 if a turn says that it is learnt, 0 if it is not, None if it says neither."""
    weight = None
    for key, learnt_value in field_synonyms.LEARNT_FLAGS.items():
        if key in turn:
            value = turn[key].lower() if isinstance(turn[key], str) else turn[key]
            if not isinstance(value, str | int | float) or value not in _FLAG_VALUES:
                raise InvalidRowError(
                    "turn_weight_not_0_or_1", detail=f"{key} of a turn is {show_value(turn[key])}"
                )
            is_learnt = _FLAG_VALUES[value] == learnt_value
            weight = int(is_learnt and weight != 0)
    return weight


def _add_names(turn: dict[str, Any], message: Message) -> None:
    """Add the name of a turn and the id of the call that it answers."""
    for key in ("tool_call_id", "name"):
        if key in turn:
            name = str(turn[key]) if isinstance(turn[key], int) else turn[key]
            row_fields.check_all_texts(row_fields.check_text(name, key))
            message[key] = name


def _are_parts(value: list[Any]) -> bool:
    """Whether the result of a tool is a list of typed parts, not data that the tool returned."""
    return all(
        isinstance(part, dict) and part.get("type") in content_parts.RESULT_TYPES for part in value
    )
