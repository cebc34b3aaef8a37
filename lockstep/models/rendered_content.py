"""Check that a rendered prompt and answer hold everything that their record holds."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.errors import UserError
from lockstep.records import Message


def check_prompt(messages: Sequence[Message], tools: Sequence[dict[str, Any]], prompt: str) -> None:
    """Raise UserError if a prompt lacks a turn's text, a call or the name of a tool.

    A template may drop the reasoning of earlier turns.
    """
    for tool in tools:
        if tool["function"]["name"] not in prompt:
            raise _build_error(f"the tool {tool['function']['name']}", "the prompt")
    for number, message in enumerate(messages):
        if not _contains(prompt, message["content"]):
            raise _build_error(
                f"the text of the {message['role']} turn ({message['content'].strip()[:40]!r})",
                f"message {number + 1}",
            )
        for call in message.get("tool_calls", []):
            if (missing := find_missing_call(call, prompt)) is not None:
                raise _build_error(f"{missing} of a tool call", f"message {number + 1}")


def check_answer(message: Message, answer: str) -> None:
    """Raise UserError if the text of the answer lacks its words, its calls or its reasoning."""
    if not _contains(answer, message["content"]):
        raise _build_error(f"the text {message['content'].strip()[:40]!r}", "the answer")
    for call in message.get("tool_calls", []):
        if (missing := find_missing_call(call, answer)) is not None:
            raise _build_error(f"{missing} of a tool call", "the answer")
    if not _contains(answer, message.get("reasoning_content", "")):
        raise _build_error("the reasoning", "the answer")


def find_missing_call(call: dict[str, Any], text: str) -> str | None:
    """Return the first part of a tool call that a text lacks, None if it has all."""
    function = call["function"]
    if function["name"] not in text:
        return f"the name {function['name']}"
    for name, value in function["arguments"].items():
        for part in (name, *_walk_values(value)):
            if not _contains(text, part):
                return f"the argument {name}"
    return None


def _walk_values(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a value of JSON, at any depth."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _walk_values(item)
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield str(value)


def _contains(rendered: str, text: str) -> bool:
    """Whether a rendered text has another one, which may be trimmed, or escaped in a literal.

    Literals are those of JSON or, for the calls of LFM2, of Python.
    """
    words = text.strip()
    literals = (json.dumps(words), json.dumps(words, ensure_ascii=False), repr(words))
    return words in rendered or any(literal[1:-1] in rendered for literal in literals)


def _build_error(part: str, where: str) -> UserError:
    return UserError(
        f"the base's chat template leaves out {part}, which belongs to {where}; use a base whose "
        "template writes it, change base.chat_template, or remove the row"
    )
