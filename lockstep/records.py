"""Records: conversations that all stages share, stored as canonical JSON lines.

A line has sorted keys, is UTF-8, and holds the record's id, which is a hash of its content.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from lockstep.errors import UserError

Message = dict[str, Any]
"""A message with `role` (system, user, assistant or tool) and `content` (a string). An assistant
message may also have `tool_calls` ({type, function: {name, arguments}}), `reasoning_content`, and
`weight` if it is not the last: 0 keeps it out of the loss, 1 puts it in."""

_LONG_INTEGER = re.compile(rb"[0-9]{19}")
"""Digits of which orjson may make a rounded float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A conversation that ends with the reference answer."""

    messages: list[Message]
    task: str
    """Name by which records are grouped for evaluation and reporting."""
    source: str
    """Path of the source file, relative to data/raw."""
    origin: str
    """`file:line`; for an augmented record, `parent id:method`."""
    slices: dict[str, str] = field(default_factory=dict)
    """Values by which metrics are broken down, e.g. {language: en}."""
    weight: float = 1.0
    """Training weight: 2.0 uses the record twice, 0.5 uses about half of such records."""
    rejected: str | Message | None = None
    """Preference pairs: the answer that is worse than the last message; a text, or a message if it
    has reasoning or tool calls."""
    margin: float | None = None
    """Preference pairs: score of the last message minus that of the rejected answer."""
    desirable: bool | None = None
    """Unpaired preferences: whether the answer is a good one."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions that the assistant may call: {type, function: {name, description, parameters}}."""
    accepted_calls: list[dict[str, Any]] | None = None
    """Right calls with all values of their arguments ({name, accepted_arguments: {name: values}});
    the last message has one combination of them. None: the last message alone is right."""
    group: str = ""
    """Group whose records stay in one split, e.g. a user; empty: no group."""
    language: str = ""
    """Language of the input as detected from its script: zh, ja, ko …, latin; empty: unknown."""
    quality: float = 1.0
    """Share of the quality signals that found no fault."""
    _id: str = field(init=False, default="", repr=False, compare=False)

    @property
    def id(self) -> str:
        """Content hash: 16 hex digits of a SHA-256 over all that is asked, learnt and scored."""
        if not self._id:
            content: list[Any] = [self.task, self.messages]
            if self.rejected is not None or self.desirable is not None or self.tools:
                content += [self.rejected, self.desirable, self.tools]
            if self.margin is not None or self.accepted_calls is not None:
                content.append({"margin": self.margin, "accepted_calls": self.accepted_calls})
            encoded = dump_json(content, sort_keys=True)
            object.__setattr__(self, "_id", hashlib.sha256(encoded).hexdigest()[:16])
        return self._id

    @property
    def repeats(self) -> int:
        """Number of training rows: the weight, rounded up or down by a hash of the id.

        Of records with weight 0.5, about half are used once and the others are left out.
        """
        fraction, whole = math.modf(self.weight)
        draw = int.from_bytes(hashlib.sha256(self.id.encode()).digest()[:8], "big") / 2**64
        return int(whole) + (draw < fraction)

    @property
    def prompt(self) -> list[Message]:
        """All messages before the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """Text of the last message; if it calls tools, the calls as JSON."""
        return format_answer(self.messages[-1])

    @property
    def reference(self) -> str:
        """Text that an answer is compared with: the answer, or the accepted calls as JSON."""
        if self.accepted_calls is None:
            return self.answer
        return dump_json(self.accepted_calls).decode()

    @property
    def question(self) -> str:
        """Text of the last user message; empty for plain text."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                return message["content"]
        return ""

    @property
    def user_text(self) -> str:
        """Text of all user messages, used to find near-duplicates; for plain text, the text."""
        texts = [message["content"] for message in self.messages if message["role"] == "user"]
        return "\n".join(texts) or self.answer

    def with_question(self, change: Callable[[str], str], origin: str) -> "Record":
        """Return a copy whose last user message is changed by `change`."""
        last = max(i for i, m in enumerate(self.messages) if m["role"] == "user")
        messages = [
            {**m, "content": change(m["content"])} if i == last else m
            for i, m in enumerate(self.messages)
        ]
        return replace(self, messages=messages, origin=origin)

    def with_answer(self, text: str) -> "Record":
        """Return a copy with another answer."""
        return replace(self, messages=[*self.prompt, {"role": "assistant", "content": text}])

    def with_rejected(self) -> "Record":
        """Return a copy of a preference pair that ends with the rejected answer."""
        if isinstance(self.rejected, dict):
            return replace(self, messages=[*self.prompt, self.rejected])
        return self.with_answer(self.rejected or "")


def format_answer(message: Message) -> str:
    """Return the text of a message; if it calls tools, the calls as JSON."""
    if "tool_calls" not in message:
        return message["content"]
    calls = [call["function"] for call in message["tool_calls"]]
    return dump_json(calls if len(calls) > 1 else calls[0]).decode()


def parse_labels(answer: str) -> list[str]:
    """Return the labels in an answer: the items of a JSON list, or the answer itself."""
    if not answer.startswith("["):
        return [answer]
    try:
        values = orjson.loads(answer)
    except ValueError:
        return [answer]
    return [str(label) for label in values] if isinstance(values, list) else [answer]


def sample_evenly(records: Sequence[Record], number: int) -> list[Record]:
    """Return at most `number` records at equal distances, since files are often sorted by task."""
    count = min(number, len(records))
    return [records[i * len(records) // count] for i in range(count)]


def dump(record: Record) -> bytes:
    """Return the record as one canonical JSON line, without its empty optional fields."""
    values = {
        "id": record.id,
        "messages": record.messages,
        "task": record.task,
        "source": record.source,
        "origin": record.origin,
        "slices": record.slices,
        "weight": record.weight,
        "quality": record.quality,
        "language": record.language,
    }
    if record.rejected is not None:
        values["rejected"] = record.rejected
    if record.margin is not None:
        values["margin"] = record.margin
    if record.desirable is not None:
        values["desirable"] = record.desirable
    if record.accepted_calls is not None:
        values["accepted_calls"] = record.accepted_calls
    if record.tools:
        values["tools"] = record.tools
    if record.group:
        values["group"] = record.group
    return dump_json(values, sort_keys=True) + b"\n"


def load(line: bytes) -> Record:
    """Return the record of one canonical JSON line."""
    values = json.loads(line) if _LONG_INTEGER.search(line) else orjson.loads(line)
    record_id = values.pop("id")
    record = Record(**values)
    object.__setattr__(record, "_id", record_id)
    return record


def dump_json(value: Any, sort_keys: bool = False) -> bytes:
    """Return a value as compact JSON; integers of more than 64 bits, which orjson refuses, too."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else 0)
    except TypeError:
        text = json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys, allow_nan=False
        )
        return text.encode()


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a file; raise UserError with the line number of an invalid line."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = load(line)
            except (ValueError, TypeError, LookupError, AttributeError):
                raise UserError(
                    f"{path}:{number}: not a record; run `dvc repro` to create the file again"
                ) from None
            yield record


def write(path: Path, records: Iterable[Record]) -> None:
    """Write records to a file, one per line."""
    with path.open("wb") as stream:
        stream.writelines(map(dump, records))
