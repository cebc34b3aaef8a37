"""The one canonical record: a line of JSON with sorted keys and a content hash."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

Message = dict[str, str]
"""One turn: `role` (system, user or assistant) and `content`."""


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

    @property
    def id(self) -> str:
        """The first 16 hex digits of a sha256 over task and messages."""
        content = orjson.dumps([self.task, self.messages], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()[:16]

    @property
    def prompt(self) -> list[Message]:
        """All turns but the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The last assistant turn."""
        return self.messages[-1]["content"]

    @property
    def question(self) -> str:
        """The last user turn."""
        turns = [m["content"] for m in self.messages if m["role"] == "user"]
        return turns[-1]

    def with_turns(self, change: Callable[[str], str], origin: str) -> "Record":
        """The same conversation with `change` applied to the text of the last user turn."""
        last = max(i for i, m in enumerate(self.messages) if m["role"] == "user")
        messages = [
            {**m, "content": change(m["content"])} if i == last else m
            for i, m in enumerate(self.messages)
        ]
        return replace(self, messages=messages, origin=origin)


def spread(records: Sequence[Record], number: int) -> list[Record]:
    """At most `number` of the records, at equal distances: files are often sorted by task."""
    count = min(number, len(records))
    return [records[i * len(records) // count] for i in range(count)]


def dump(record: Record) -> bytes:
    """The record as one canonical line."""
    values = {
        "id": record.id,
        "messages": record.messages,
        "task": record.task,
        "source": record.source,
        "origin": record.origin,
        "slices": record.slices,
        "weight": record.weight,
    }
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def load(line: bytes) -> Record:
    """The record of one canonical line."""
    values = orjson.loads(line)
    del values["id"]
    return Record(**values)


def read(path: Path) -> Iterator[Record]:
    """The records of a file that `write` wrote."""
    with path.open("rb") as lines:
        yield from map(load, lines)


def write(path: Path, records: Iterable[Record]) -> None:
    """Write records, one line each, in the order given."""
    with path.open("wb") as stream:
        stream.writelines(map(dump, records))
