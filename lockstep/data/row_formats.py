"""Row formats: each function turns a row of one format into a conversation."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from lockstep.data import message_parsing, row_fields
from lockstep.data.label_studio import voting
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.row_fields import Row
from lockstep.data.sources import Source
from lockstep.records import Message

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TRUTH_VALUES = {True: True, False: False, "true": True, "false": False}


@dataclass(slots=True)
class Conversation:
    """The content of a row, before the settings of its source are added."""

    messages: list[Message]
    """Messages, of which the last one is the answer."""
    rejected: str | None = None
    """Worse answer of a preference pair."""
    desirable: bool | None = None
    """Whether the answer of an unpaired preference is a good one."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions that the assistant may call, as JSON schemas."""


def parse_row(row: Row, source: Source) -> Conversation:
    """Return the conversation in a row; raise InvalidRowError if there is none."""
    conversation = ROW_PARSERS[source.format](row, source)
    tools = row_fields.get_optional_field(row, source, "tools")
    if tools not in (None, "", []):
        conversation.tools = message_parsing.parse_tools(tools)
    system = _read_system(row, source)
    if system and conversation.messages[0]["role"] != "system" and source.format != "text":
        conversation.messages.insert(0, {"role": "system", "content": system})
    conversation.messages = message_parsing.check_order(conversation.messages, source)
    return conversation


def _read_system(row: Row, source: Source) -> str:
    """Return the system message from the row's column, or from the source."""
    if "system" in source.columns:
        system = row_fields.get_optional_field(row, source, "system")
        if system not in (None, ""):
            return row_fields.check_text(system, "system")
    return source.system


def _parse_alpaca(row: Row, source: Source) -> Conversation:
    context = row_fields.get_optional_field(row, source, "input")
    prompt = row_fields.get_text_field(row, source, "instruction")
    if context not in (None, ""):
        prompt = f"{prompt}\n{row_fields.check_text(context, 'input')}"
    turns = [*_read_history(row, source), ("user", prompt)]
    turns.append(("assistant", row_fields.get_text_field(row, source, "output")))
    return Conversation([{"role": role, "content": text} for role, text in turns])


def _read_history(row: Row, source: Source) -> Iterator[tuple[str, str]]:
    """Yield the turns of earlier (question, answer) pairs."""
    pairs = row_fields.get_optional_field(row, source, "history") or []
    if isinstance(pairs, str):
        pairs = row_fields.parse_json(pairs, "history")
    if not isinstance(pairs, list):
        raise InvalidRowError("history_not_pairs")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise InvalidRowError("history_not_pairs")
        yield "user", row_fields.check_text(pair[0], "history")
        yield "assistant", row_fields.check_text(pair[1], "history")


def _parse_messages(row: Row, source: Source) -> Conversation:
    value = row_fields.get_required_field(row, source, "messages")
    return Conversation(message_parsing.parse_messages(value, "messages", source))


def _parse_sharegpt(row: Row, source: Source) -> Conversation:
    value = row_fields.get_required_field(row, source, "conversations")
    return Conversation(message_parsing.parse_messages(value, "conversations", source))


def _parse_prompt_completion(row: Row, source: Source) -> Conversation:
    value = row_fields.get_required_field(row, source, "prompt")
    prompt = message_parsing.parse_text_or_messages(value, "prompt", "user", source)
    value = row_fields.get_required_field(row, source, "completion")
    return Conversation(prompt + message_parsing.parse_answer(value, "completion", source))


def _parse_preference(row: Row, source: Source) -> Conversation:
    """Read `prompt`, `chosen` and `rejected`, or two conversations with different answers."""
    chosen, rejected = (
        message_parsing.parse_text_or_messages(
            row_fields.get_required_field(row, source, name), name, "assistant", source
        )
        for name in ("chosen", "rejected")
    )
    if len(chosen) == len(rejected) == 1:
        value = row_fields.get_required_field(row, source, "prompt")
        prompt = message_parsing.parse_text_or_messages(value, "prompt", "user", source)
    else:
        prompt = chosen[:-1]
        if rejected[:-1] != prompt:
            raise InvalidRowError("transcripts_differ_before_the_answer")
    if rejected[-1]["role"] != "assistant" or "tool_calls" in rejected[-1]:
        raise InvalidRowError("rejected_is_no_answer")
    if chosen[-1]["content"] == rejected[-1]["content"]:
        raise InvalidRowError("chosen_equals_rejected")
    return Conversation([*prompt, chosen[-1]], rejected=rejected[-1]["content"])


def _parse_unpaired_preference(row: Row, source: Source) -> Conversation:
    """Read `messages`, or `prompt` and `completion`, and a `label` that is true or false."""
    if source.get_column("messages") in row:
        conversation = _parse_messages(row, source)
    else:
        conversation = _parse_prompt_completion(row, source)
    label = row_fields.get_required_field(row, source, "label")
    if isinstance(label, str):
        label = label.strip().lower()
    if not isinstance(label, bool | int | str) or label not in _TRUTH_VALUES:
        raise InvalidRowError("label_not_true_or_false")
    conversation.desirable = _TRUTH_VALUES[label]
    return conversation


def _parse_classification(row: Row, source: Source) -> Conversation:
    text = row_fields.get_text_field(row, source, "text")
    return _make_pair(text, row_fields.get_text_field(row, source, "label"))


def _parse_multi_label(row: Row, source: Source) -> Conversation:
    """Read `labels`, a list or its JSON text; the answer is the sorted list as JSON."""
    value = row_fields.get_required_field(row, source, "labels")
    if isinstance(value, str):
        value = row_fields.parse_json(value, "labels")
    if not isinstance(value, list):
        raise InvalidRowError("labels_not_a_list")
    labels = sorted({row_fields.check_text(label, "label") for label in value})
    answer = orjson.dumps(labels).decode()
    return _make_pair(row_fields.get_text_field(row, source, "text"), answer)


def _parse_regression(row: Row, source: Source) -> Conversation:
    """Read `value`, a finite number; the answer has 15 significant digits at most."""
    value = row_fields.get_required_field(row, source, "value")
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        value = None
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRowError("value_not_a_number")
    return _make_pair(row_fields.get_text_field(row, source, "text"), f"{number:.15g}")


def _parse_text(row: Row, source: Source) -> Conversation:
    text = row_fields.get_text_field(row, source, "text")
    return Conversation([{"role": "assistant", "content": text}])


def _parse_label_studio(row: Row, source: Source) -> Conversation:
    """Read the text and the answer of the annotators, or both answers of a comparison."""
    question = row_fields.get_text_field(row, source, "text")
    conversation = _make_pair(question, row_fields.check_text(row[voting.ANSWER], "answer"))
    if voting.REJECTED in row:
        conversation.rejected = row_fields.check_text(row[voting.REJECTED], "answer")
    return conversation


ROW_PARSERS: dict[str, Callable[[Row, Source], Conversation]] = {
    "alpaca": _parse_alpaca,
    "messages": _parse_messages,
    "sharegpt": _parse_sharegpt,
    "prompt_completion": _parse_prompt_completion,
    "preference": _parse_preference,
    "unpaired_preference": _parse_unpaired_preference,
    "classification": _parse_classification,
    "multi_label": _parse_multi_label,
    "regression": _parse_regression,
    "text": _parse_text,
    "label_studio": _parse_label_studio,
}
"""Parser of each row format."""


def _make_pair(question: str, answer: str) -> Conversation:
    return Conversation(
        [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    )
