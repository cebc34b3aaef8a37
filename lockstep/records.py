"""The one canonical record: a line of JSON with sorted keys and a content hash."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from lockstep.errors import UserError

Message = dict[str, Any]
"""One turn: `role` (system, user, assistant or tool) and `content`, a text; an assistant's may
have `tool_calls` ({type, function: {name, arguments}}) and `reasoning_content`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A conversation that ends with the answer to be learnt."""

    messages: list[Message]
    task: str
    source: str
    """The source's path, relative to data/raw."""
    origin: str
    """`file:line`; for an augmented record `parent id:method`."""
    slices: dict[str, str] = field(default_factory=dict)
    weight: float = 1.0
    """How often training sees it: 2.0 twice as often, 0.5 half of them."""
    rejected: str | None = None
    """preference: the answer that lost against the last message."""
    desirable: bool | None = None
    """unpaired preference: whether the answer is to be learnt or avoided."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Functions that the assistant may call: {type, function: {name, description, parameters}}."""
    group: str = ""
    """Whose records stay on one side of a split, e.g. a user's; empty: nobody's."""
    language: str = ""
    """Of the input, as far as its script tells: zh, ja, ko …, latin; empty: not looked at."""
    quality: float = 1.0
    """Share of the signals of `prepare.quality` that found no fault."""
    _id: str = field(init=False, default="", repr=False, compare=False)

    @property
    def id(self) -> str:
        """The first 16 hex digits of a sha256 over all that a model may see."""
        if not self._id:
            seen: list[Any] = [self.task, self.messages]
            if self.rejected is not None or self.desirable is not None or self.tools:
                seen += [self.rejected, self.desirable, self.tools]
            content = orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)
            object.__setattr__(self, "_id", hashlib.sha256(content).hexdigest()[:16])
        return self._id

    @property
    def prompt(self) -> list[Message]:
        """All turns but the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The last assistant turn; of a turn that calls tools, the calls as JSON."""
        last = self.messages[-1]
        if "tool_calls" not in last:
            return last["content"]
        calls = [call["function"] for call in last["tool_calls"]]
        return orjson.dumps(calls if len(calls) > 1 else calls[0]).decode()

    @property
    def question(self) -> str:
        """The last user turn; empty for plain text."""
        for message in reversed(self.messages):
            if message["role"] == "user":
                return message["content"]
        return ""

    @property
    def asked(self) -> str:
        """All user turns: what makes two records alike; of plain text, the text."""
        turns = [message["content"] for message in self.messages if message["role"] == "user"]
        return "\n".join(turns) or self.answer

    def with_turns(self, change: Callable[[str], str], origin: str) -> "Record":
        """The same conversation with `change` applied to the text of the last user turn."""
        last = max(i for i, m in enumerate(self.messages) if m["role"] == "user")
        messages = [
            {**m, "content": change(m["content"])} if i == last else m
            for i, m in enumerate(self.messages)
        ]
        return replace(self, messages=messages, origin=origin)

    def with_answer(self, text: str) -> "Record":
        """The same conversation with another answer."""
        return replace(self, messages=[*self.prompt, {"role": "assistant", "content": text}])


def labels(answer: str) -> list[str]:
    """The labels that an answer names: those of a JSON list, or itself."""
    if not answer.startswith("["):
        return [answer]
    try:
        several = orjson.loads(answer)
    except ValueError:
        return [answer]
    return [str(label) for label in several] if isinstance(several, list) else [answer]


def spread(records: Sequence[Record], number: int) -> list[Record]:
    """At most `number` of the records, at equal distances: files are often sorted by task."""
    count = min(number, len(records))
    return [records[i * len(records) // count] for i in range(count)]


def dump(record: Record) -> bytes:
    """The record as one canonical line; what says nothing is left out."""
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
    if record.desirable is not None:
        values["desirable"] = record.desirable
    if record.tools:
        values["tools"] = record.tools
    if record.group:
        values["group"] = record.group
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def load(line: bytes) -> Record:
    """The record of one canonical line."""
    values = orjson.loads(line)
    known = values.pop("id")
    record = Record(**values)
    object.__setattr__(record, "_id", known)
    return record


def read(path: Path) -> Iterator[Record]:
    """The records of a file that `write` wrote; UserError, with its number, of any other line."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = load(line)
            except (ValueError, TypeError, LookupError, AttributeError):
                raise UserError(f"{path}:{number}: no record; `dvc repro` makes the file") from None
            yield record


def write(path: Path, records: Iterable[Record]) -> None:
    """Write records, one line each, in the order given."""
    with path.open("wb") as stream:
        stream.writelines(map(dump, records))
