"""Parsing of typed content parts, as OpenAI and Anthropic write them."""

from dataclasses import dataclass, field
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import field_synonyms, row_fields, tool_parsing
from lockstep.records import Message

_TEXT_TYPES = ("text", "input_text", "output_text", "refusal")
_REASONING_TYPES = ("reasoning", "thinking")
RESULT_TYPES = (*_TEXT_TYPES, "tool_result", *field_synonyms.MEDIA_PARTS)
"""Types of parts in the result of a tool."""

_KNOWN_KEYS = frozenset([
    "type", "text", "value", "content", "refusal", "reasoning", "thinking", "signature", "name",
    "input", "tool_use_id", "tool_call", "is_error", *field_synonyms.IGNORED_KEYS,
])  # fmt: skip


@dataclass(slots=True)
class Content:
    """The content of a turn."""

    text: str = ""
    reasoning: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    """Tool calls."""
    results: list[Message] = field(default_factory=list)
    """Results of tools, which Anthropic writes into the user's turn."""


def parse_parts(parts: list[Any]) -> Content:
    """Return the content that typed parts have together.

    Raise InvalidRowError for parts in an order that a message cannot keep: it has its reasoning,
    its text and its tool calls one after the other.
    """
    content = Content()
    previous = 0
    for part in parts:
        rank = _add_part(part, content)
        if rank < previous:
            raise InvalidRowError(
                "content_parts_out_of_order",
                detail="a turn has reasoning, then text, then tool calls; divide it into turns",
            )
        previous = rank
    return content


def _add_part(part: Any, content: Content) -> int:
    """Add a part to the content; return 0 for reasoning and results, 1 for text, 2 for calls."""
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise InvalidRowError("content_part_without_type", detail=f"a part is {show_value(part)}")
    kind = part["type"]
    if kind in field_synonyms.MEDIA_PARTS:
        raise InvalidRowError(
            f"{field_synonyms.MEDIA_PARTS[kind]}_in_text_model", detail=f"a part has type {kind}"
        )
    _check_keys(part, kind)
    if kind in _TEXT_TYPES:
        content.text += _read_text(part, "content")
        return 1
    if kind in _REASONING_TYPES:
        reasoning = _read_text(part, "reasoning")
        row_fields.check_all_texts(reasoning)
        content.reasoning = "\n\n".join(filter(None, [content.reasoning, reasoning]))
        return 0
    if kind == "tool_call":
        content.calls += tool_parsing.parse_tool_calls(part.get("value", part.get("tool_call")))
        return 2
    if kind == "tool_use":
        call = {key: part[key] for key in ("id", "name", "input") if key in part}
        content.calls += tool_parsing.parse_tool_calls(call)
        return 2
    if kind == "tool_result":
        content.results.append(_parse_result(part))
        return 0
    raise InvalidRowError("content_part_not_text", detail=f"a part has type {kind}")


def _check_keys(part: dict[str, Any], kind: str) -> None:
    """Raise InvalidRowError if a part has a key that is not known."""
    if part.keys() <= _KNOWN_KEYS:
        return
    for key, child in part.items():
        if key not in _KNOWN_KEYS and not row_fields.is_empty(child):
            raise InvalidRowError(
                "unknown_turn_key", detail=f"the part {kind} has {key!r}: {show_value(child)}"
            )


def _read_text(part: dict[str, Any], name: str) -> str:
    keys = (part["type"], "value", "text", "content")
    value = next((part[key] for key in keys if part.get(key) is not None), None)
    if not isinstance(value, str):
        raise InvalidRowError(
            f"{name}_is_null" if value is None else f"{name}_not_text",
            detail=f"a part is {show_value(part)}",
        )
    return row_fields.check_characters(value)


def _parse_result(part: dict[str, Any]) -> Message:
    """Return Anthropic's result of a tool as a message of the tool."""
    value = part.get("content")
    text = parse_parts(value).text if isinstance(value, list) else value or ""
    if not isinstance(text, str):
        raise InvalidRowError("content_not_text", detail=f"a result is {show_value(text)}")
    message: Message = {"role": "tool", "content": row_fields.check_characters(text)}
    if isinstance(part.get("tool_use_id"), str):
        row_fields.check_all_texts(part["tool_use_id"])
        message["tool_call_id"] = part["tool_use_id"]
    return message
