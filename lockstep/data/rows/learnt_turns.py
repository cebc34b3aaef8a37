"""Check the learnt turns of a conversation: finished reasoning, and calls that fit the tools.

A call of a function that the row does not declare, a result that no call asked for and reasoning
without an end cannot be learnt. Arguments that do not match their schema are counted, since the
schemas of public files are not always right.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.data import json_schemas, tool_schemas
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows.conversation import Conversation
from lockstep.data.sources import Source
from lockstep.records import Message

UNDECLARED = "undeclared_function"
UNKNOWN, MISSING, INVALID = "unknown_argument", "missing_argument", "invalid_argument"
"""Arguments that the schema lacks, that it requires, and whose value it does not allow."""

_KEYWORDS = {"required": MISSING, "dependentRequired": MISSING, "additionalProperties": UNKNOWN}
"""Keyword of JSON Schema -> what is wrong if a call violates it; INVALID for all others."""

_REASONING_MARKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
)
"""Marks around the reasoning in the text of an answer."""

_MAX_SHOWN_CHARACTERS = 120
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)


def check_learnt_turns(conversation: Conversation, source: Source) -> dict[str, str]:
    """Return what is wrong with the calls, each kind with the first example.

    Raise InvalidRowError if a learnt turn calls a function that the tools of the row do not
    declare, or has reasoning that does not end, and for a result without a call. A row without
    tools declares nothing, so its calls are not checked. In the test of a public benchmark, a call
    of an undeclared function is returned too.
    """
    for message in conversation.messages:
        if len(message) > 2 or _may_have_reasoning(message["content"]):
            break
    else:  # most conversations: role and content
        return {}
    if source.format == "text":
        return {}
    turns = _select_learnt(conversation)
    for turn in turns:
        _check_reasoning(turn["content"])
    _check_results(conversation.messages)
    mismatches: dict[str, str] = {}
    functions = {tool["function"]["name"]: tool["function"] for tool in conversation.tools}
    for turn in turns if functions else ():
        for call in turn.get("tool_calls", ()):
            for kind, detail in _check_call(call["function"], functions):
                mismatches.setdefault(kind, detail)
    if UNDECLARED in mismatches and not source.is_published_test:
        raise InvalidRowError(UNDECLARED, detail=mismatches[UNDECLARED])
    return mismatches


def _may_have_reasoning(text: str) -> bool:
    return "<think" in text or "[THINK]" in text


def _select_learnt(conversation: Conversation) -> list[Message]:
    """Return the turns of the assistant that may be learnt; a bad answer is none of them."""
    messages = conversation.messages
    if conversation.desirable is False:
        messages = messages[:-1]
    return [turn for turn in messages if turn["role"] == "assistant" and turn.get("weight") != 0]


def _check_reasoning(text: str) -> None:
    """Raise InvalidRowError if a line begins with a mark of reasoning that nothing closes."""
    if not _may_have_reasoning(text):
        return
    text = _FENCED.sub("", text)
    for opening, closing in _REASONING_MARKS:
        rest = text[text.rfind(closing) + 1 :]
        if re.search(rf"^\s*{re.escape(opening)}", rest, re.MULTILINE):
            raise InvalidRowError(
                "reasoning_not_closed",
                detail=f"an answer has {opening} without {closing}, as truncated answers have; "
                "generate it with more tokens, or remove it",
            )


def _check_results(messages: Sequence[Message]) -> None:
    """Raise InvalidRowError if the id of a result is that of no call before it.

    Files without ids of calls name nothing that an id could match.
    """
    call_ids: list[str | None] = []
    for number, message in enumerate(messages, 1):
        call_ids += [call.get("id") for call in message.get("tool_calls", ())]
        result_id = message.get("tool_call_id")
        if result_id is not None and None not in call_ids and result_id not in call_ids:
            raise InvalidRowError(
                "result_without_call",
                detail=f"turn {number} has tool_call_id {result_id}, the calls before it have "
                f"{', '.join(map(str, call_ids))}",
            )


def _check_call(call: dict[str, Any], functions: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (what is wrong, detail) for the function and the arguments of a call."""
    name, arguments = call["name"], call["arguments"]
    if name not in functions:
        (nearest,) = difflib.get_close_matches(name, functions, n=1, cutoff=0)
        yield UNDECLARED, f"tools do not declare {name}; the nearest function is {nearest}"
        return
    schema = tool_schemas.normalize_parameters(functions[name].get("parameters") or None)
    for argument in _list_unknown(arguments, schema):
        yield UNKNOWN, f"{name} has no parameter {argument}"
    try:
        json_schemas.check_schema(schema)
    except ValueError:  # a schema that is invalid itself restricts nothing
        return
    for keyword, place, message in json_schemas.iterate_errors(arguments, schema):
        where = name + place.removeprefix("$")
        yield _KEYWORDS.get(keyword, INVALID), f"{where}: {message[:_MAX_SHOWN_CHARACTERS]}"


def _list_unknown(arguments: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Return the arguments that a schema with names of parameters does not name.

    JSON Schema allows them, a function does not; `additionalProperties` says so itself.
    """
    names = schema.get("properties")
    if names is None or not schema.keys().isdisjoint(("additionalProperties", "patternProperties")):
        return []
    return [name for name in arguments if name not in names]
