"""The conversation in a row, and the fields that rows have beside it."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import field_synonyms, row_fields, tool_parsing, transcripts, turn_parsing
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source
from lockstep.records import Message

_PLACEHOLDER = re.compile(r"<(image|audio|video)>")
"""A text that stands for an image, a sound or a film in multi-modal data."""

_TOOLS_ALONE = frozenset(["tools"])
"""Columns that are fields beside the conversation in formats that are no conversations."""
_FIELDS_BY_FORMAT = dict.fromkeys(field_synonyms.CONVERSATIONAL_FORMATS, field_synonyms.ROW_FIELDS)
_NAMED_FIELDS = frozenset(["system", "tools", "weight"])
"""Fields beside a conversation whose column a source may name."""

_NO_TRAINING = {True: False, False: True, "true": False, "false": True, "1": False, "0": True}
"""Value of the column `train` -> whether the row must not be learnt."""


@dataclass(slots=True)
class Conversation:
    """The content of a row, before the settings of its source are added."""

    messages: list[Message]
    """Messages, of which the last one is the answer."""
    rejected: str | Message | None = None
    """Worse answer of a preference pair: a text, or a message with reasoning or tool calls."""
    desirable: bool | None = None
    """Whether the answer of an unpaired preference is a good one."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions that the assistant may call, as JSON schemas."""
    weight: float = 1.0
    """Training weight of the row, which multiplies that of the source."""
    margin: float | None = None
    """Score of the chosen answer minus that of the rejected one."""
    reject_reason: str = ""
    """Why the rejected answer is worse."""
    accepted_calls: list[dict[str, Any]] | None = None
    """Right calls with all values of their arguments; None: the answer alone is right."""
    is_shortened: bool = False
    """Whether turns after the last one that may be learnt were left out."""
    notes: dict[str, str] = field(default_factory=dict)
    """Kind of a note (`row_notes`) -> what is unusual in the row."""


def make_pair(question: str, answer: str) -> Conversation:
    """Return a conversation of a question and its answer."""
    return Conversation(
        [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    )


def add_row_fields(conversation: Conversation, row: Row, source: Source) -> None:
    """Add the row's tools, system message and weight to a conversation.

    Raise InvalidRowError if the row has media, or if it must not be learnt.
    """
    system = ""
    names = _FIELDS_BY_FORMAT.get(source.format, _TOOLS_ALONE)
    settings = source.columns or source.templates
    if not names.isdisjoint(row) or (settings and any(map(source.sets, _NAMED_FIELDS))):
        fields = _select_fields(names, row, source)
        system = _add_fields(conversation, fields, row, source)
        if source.is_conversational and not field_synonyms.MEDIA.keys().isdisjoint(row):
            _refuse_media(conversation, row, source)
    system = system or source.system
    if system and source.format != "text" and conversation.messages[0]["role"] != "system":
        conversation.messages.insert(0, {"role": "system", "content": system})


def has_tools(row: Row, source: Source) -> bool:
    """Whether a row has a column with functions that the assistant may call."""
    fields = _select_fields(_FIELDS_BY_FORMAT.get(source.format, _TOOLS_ALONE), row, source)
    tools = _read_only_field(fields, row, source, "tools", field_synonyms.TOOLS)
    is_blank = isinstance(tools, str) and tools.strip() in ("", "[]", "null")
    return not is_blank and not row_fields.is_empty(tools)


def _select_fields(names: frozenset[str], row: Row, source: Source) -> Row:
    """Return the columns with these names that are no fields of the format itself."""
    taken = {*map(source.get_column, source.fields), *source.ignored_fields}
    return {name: row[name] for name in names & row.keys() if name not in taken}


def _add_fields(conversation: Conversation, fields: Row, row: Row, source: Source) -> str:
    """Add tools and weight to a conversation; return the system message of the row."""
    tools = _read_only_field(fields, row, source, "tools", field_synonyms.TOOLS)
    if tools not in (None, "", []):
        parsed = tool_parsing.parse_tools(tools)
        if conversation.tools not in ([], parsed):
            raise InvalidRowError("two_tools_columns", detail="in tools and in the system message")
        conversation.tools = parsed
    weight = _read_only_field(fields, row, source, "weight", (field_synonyms.WEIGHT,))
    if not row_fields.is_empty(weight):
        conversation.weight = _read_weight(weight)
    if field_synonyms.TRAIN in fields and not _may_be_learnt(fields[field_synonyms.TRAIN]):
        raise InvalidRowError("row_not_to_be_learnt", detail="the column train is false")
    system = _read_only_field(fields, row, source, "system", field_synonyms.SYSTEM)
    if isinstance(system, str):
        system, functions = transcripts.split_system(system)
        if functions and conversation.tools not in ([], functions):
            raise InvalidRowError("two_tools_columns", detail="in tools and in the system message")
        conversation.tools = conversation.tools or functions
    return "" if system in (None, "") else _check_system(system, conversation)


def _read_only_field(
    fields: Row, row: Row, source: Source, name: str, synonyms: tuple[str, ...]
) -> Any:
    """Return the value of a field; raise InvalidRowError if two of its columns differ.

    The column that the source names for the field is the only one that counts.
    """
    if source.sets(name):
        return row_fields.get_optional_field(row, source, name)
    found = [key for key in synonyms if not row_fields.is_empty(fields.get(key))]
    if any(fields[key] != fields[found[0]] for key in found[1:]):
        raise InvalidRowError(f"two_{name}_columns", detail=f"the row has {' and '.join(found)}")
    return fields[found[0]] if found else None


def _check_system(value: Any, conversation: Conversation) -> str:
    """Return a system message; raise InvalidRowError if the conversation has another one.

    A list of texts, such as the sentences of a persona, has a line for each.
    """
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        value = "\n".join(value)
    system = row_fields.check_text(value, "system")
    first = conversation.messages[0]
    if first["role"] == "system" and first["content"].strip() != system.strip():
        raise InvalidRowError(
            "two_system_messages",
            detail=f"the column has {show_value(system)}, the conversation "
            f"{show_value(first['content'])}",
        )
    return system


def _read_weight(value: Any) -> float:
    """Return the weight of a row; raise InvalidRowError if it is not a positive number."""
    weight = row_fields.parse_number(value)
    if not math.isfinite(weight) or weight < 0:
        raise InvalidRowError("weight_not_a_number", detail=f"the weight is {show_value(value)}")
    if weight == 0:
        raise InvalidRowError("weight_is_zero", detail="the row must not be learnt")
    return weight


def _may_be_learnt(value: Any) -> bool:
    """Whether the column `train` allows learning; an empty value does."""
    if row_fields.is_empty(value):
        return True
    key = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(key, str | int | float) or key not in _NO_TRAINING:
        raise InvalidRowError(
            "train_not_true_or_false",
            detail=f"the column train is {show_value(value)}; rename it, or set "
            "ignored_fields: [train]",
        )
    return not _NO_TRAINING[key]


def _refuse_media(conversation: Conversation, row: Row, source: Source) -> None:
    """Raise InvalidRowError if a row with a column for media has one, or a text stands for one."""
    taken = {source.get_column(name) for name in source.fields}
    turn_parsing.refuse_media({key: row[key] for key in row if key not in taken}, source)
    for text in _walk_texts(conversation):
        if found := _PLACEHOLDER.search(text):
            kind = field_synonyms.MEDIA[found[1]]
            raise InvalidRowError(f"{kind}_in_text_model", detail=f"a text contains {found[0]}")


def _walk_texts(conversation: Conversation) -> Iterator[str]:
    for message in conversation.messages:
        yield message["content"]
    if conversation.rejected is not None:
        rejected = conversation.rejected
        yield rejected if isinstance(rejected, str) else rejected["content"]
