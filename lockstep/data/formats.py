"""A row in one of the accepted formats -> the conversation in it."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from lockstep.data import fields, tool_definitions, turns
from lockstep.data.fields import Row
from lockstep.data.rejection import UnfitError
from lockstep.data.sources import Source
from lockstep.records import Message

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TRUTHS = {True: True, False: False, "true": True, "false": False}


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
    functions = fields.optional(row, source, "tools")
    if functions not in (None, "", []):
        read.tools = tool_definitions.functions(functions)
    system = fields.optional(row, source, "system") if "system" in source.columns else None
    told = fields.checked(system, "system") if system not in (None, "") else source.system
    if told and read.messages[0]["role"] != "system" and source.format != "text":
        read.messages.insert(0, {"role": "system", "content": told})
    read.messages = turns.in_turn(read.messages, source)
    return read


def _alpaca(row: Row, source: Source) -> Conversation:
    extra = fields.optional(row, source, "input")
    prompt = fields.text(row, source, "instruction")
    if extra not in (None, ""):
        prompt = f"{prompt}\n{fields.checked(extra, 'input')}"
    said = [*_history(row, source), ("user", prompt)]
    said.append(("assistant", fields.text(row, source, "output")))
    return Conversation([{"role": role, "content": text} for role, text in said])


def _history(row: Row, source: Source) -> Iterator[tuple[str, str]]:
    """Earlier (question, answer) pairs."""
    pairs = fields.optional(row, source, "history") or []
    if isinstance(pairs, str):
        pairs = fields.parsed(pairs, "history")
    if not isinstance(pairs, list):
        raise UnfitError("history_not_pairs")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise UnfitError("history_not_pairs")
        yield "user", fields.checked(pair[0], "history")
        yield "assistant", fields.checked(pair[1], "history")


def _messages(row: Row, source: Source) -> Conversation:
    return Conversation(turns.listed(fields.needed(row, source, "messages"), "messages", source))


def _sharegpt(row: Row, source: Source) -> Conversation:
    return Conversation(
        turns.listed(fields.needed(row, source, "conversations"), "conversations", source)
    )


def _prompt_completion(row: Row, source: Source) -> Conversation:
    prompt = turns.said(fields.needed(row, source, "prompt"), "prompt", "user", source)
    return Conversation(
        prompt + turns.answered(fields.needed(row, source, "completion"), "completion", source)
    )


def _preference(row: Row, source: Source) -> Conversation:
    """`prompt`, `chosen` and `rejected`; or two transcripts that differ in the last turn alone."""
    chosen = turns.said(fields.needed(row, source, "chosen"), "chosen", "assistant", source)
    rejected = turns.said(fields.needed(row, source, "rejected"), "rejected", "assistant", source)
    if len(chosen) == len(rejected) == 1:
        prompt = turns.said(fields.needed(row, source, "prompt"), "prompt", "user", source)
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
    label = fields.needed(row, source, "label")
    if isinstance(label, str):
        label = label.strip().lower()
    if not isinstance(label, bool | int | str) or label not in _TRUTHS:
        raise UnfitError("label_not_true_or_false")
    read.desirable = _TRUTHS[label]
    return read


def _classification(row: Row, source: Source) -> Conversation:
    return _pair(fields.text(row, source, "text"), fields.text(row, source, "label"))


def _multi_label(row: Row, source: Source) -> Conversation:
    """`labels`: a list, or the JSON of one; the answer is their sorted list as JSON."""
    value = fields.needed(row, source, "labels")
    if isinstance(value, str):
        value = fields.parsed(value, "labels")
    if not isinstance(value, list):
        raise UnfitError("labels_not_a_list")
    labels = sorted({fields.checked(label, "label") for label in value})
    answer = orjson.dumps(labels).decode()
    return _pair(fields.text(row, source, "text"), answer)


def _regression(row: Row, source: Source) -> Conversation:
    value = fields.needed(row, source, "value")
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        value = None
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UnfitError("value_not_a_number")
    return _pair(fields.text(row, source, "text"), f"{number:.15g}")


def _text(row: Row, source: Source) -> Conversation:
    return Conversation([{"role": "assistant", "content": fields.text(row, source, "text")}])


FORMATS: dict[str, Callable[[Row, Source], Conversation]] = {
    "alpaca": _alpaca,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt_completion": _prompt_completion,
    "preference": _preference,
    "unpaired_preference": _unpaired_preference,
    "classification": _classification,
    "multi_label": _multi_label,
    "regression": _regression,
    "text": _text,
    "label_studio": _classification,
}


def _pair(prompt: str, answer: str) -> Conversation:
    return Conversation(
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    )
