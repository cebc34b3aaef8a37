"""What happens to each row on its own: it is read, checked, cleaned and judged."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lockstep.data import (
    fields,
    formats,
    label_studio,
    language,
    parallel,
    quality,
    readers,
    shingles,
    strict_json,
)
from lockstep.data.cleaning import Cleaner
from lockstep.data.readers import Numbered
from lockstep.data.record_table import Layout, Table
from lockstep.data.rejection import Rejected, UnfitError, shown
from lockstep.data.sources import Source
from lockstep.records import Message, Record, parse_labels


@dataclass(slots=True)
class Taken:
    """What became of some rows."""

    records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    cleaned: Counter[str] = field(default_factory=Counter)
    """How many records each cleaning step changed."""
    faults: Counter[str] = field(default_factory=Counter)
    """In how many records each signal of quality found a fault."""
    votes: list[tuple[str, label_studio.Vote]] = field(default_factory=list)
    """What annotators answered: (source's path, vote)."""


class Intake:
    """Reads, checks, cleans and judges the rows of one source."""

    def __init__(
        self,
        source: Source,
        labels: frozenset[str] | None,
        cleaner: Cleaner,
        limits: quality.QualityParams,
        max_characters: int,
    ) -> None:
        self.source = source
        self.labels = labels and {cleaner.clean(label)[0] for label in labels}
        self.cleaner, self.limits, self.max_characters = cleaner, limits, max_characters

    def take(self, rows: Iterable[Numbered]) -> Taken:
        """Each row becomes a record or a rejected row; the counts add up."""
        taken = Taken()
        for origin, row in rows:
            try:
                taken.records.append(self._record(origin, row, taken))
            except UnfitError as unfit:
                text = shown(row.row if isinstance(row, UnfitError) else row)
                taken.rejected.append(Rejected(origin=origin, reason=str(unfit), row=text))
        return taken

    def _record(self, origin: str, row: readers.Row, taken: Taken) -> Record:
        if isinstance(row, UnfitError):
            raise row
        given = _parsed(row) if isinstance(row, str) else row
        if self.source.format == "label_studio":
            votes = label_studio.votes(given)
            taken.votes += [(self.source.path, vote) for vote in votes]
            given = label_studio.fields(given, votes)
        if not isinstance(given, dict):
            raise UnfitError("not_an_object")
        if self.source.constants:
            given |= self.source.constants
        read = formats.conversation(given, self.source)
        changed: set[str] = set()
        messages = [self._clean(message, changed) for message in read.messages]
        rejected = read.rejected
        if rejected is not None:
            rejected = self._clean({"content": rejected}, changed)["content"]
            if rejected == messages[-1]["content"]:
                raise UnfitError("chosen_equals_rejected")
        if self.labels is not None and not self.labels >= set(
            parse_labels(messages[-1]["content"])
        ):
            raise UnfitError("unknown_label")
        record = Record(
            messages=messages,
            task=fields.word(given, self.source, "task") or self.source.task,
            source=self.source.path,
            origin=origin,
            slices={name: fields.slice_value(given, name) for name in self.source.slices},
            weight=self.source.weight,
            rejected=rejected,
            desirable=read.desirable,
            tools=read.tools,
            group=self._group(given),
            language=language.of(_asked(messages)),
        )
        faults = quality.faults(record, self.limits)
        if faults:
            record = replace(record, quality=quality.score(faults))
            if record.quality < self.limits.min_score:
                raise UnfitError("low_quality")
            taken.faults.update(faults)
        if changed:
            taken.cleaned.update(changed)
        return record

    def _group(self, given: dict[str, Any]) -> str:
        """Column and value: one user in two files is one, if both name the column alike."""
        name = fields.word(given, self.source, "group")
        return name and f"{self.source.columns['group']}={name}"

    def _clean(self, message: Message, changed: set[str]) -> Message:
        """The message with clean text: what is said, thought and handed to tools."""
        text = self._cleaned(message["content"], changed)
        if not text.strip() and "tool_calls" not in message:
            raise UnfitError("empty_after_cleaning")
        if text is not message["content"]:
            message = {**message, "content": text}
        if "reasoning_content" in message:
            thought = self._cleaned(message["reasoning_content"], changed)
            message = {**message, "reasoning_content": thought}
        if "tool_calls" in message:
            calls = [self._clean_call(call, changed) for call in message["tool_calls"]]
            message = {**message, "tool_calls": calls}
        return message

    def _clean_call(self, call: dict[str, Any], changed: set[str]) -> dict[str, Any]:
        """The call with clean arguments, so that they stay what the text says they are."""
        function = call["function"]
        arguments = self._clean_values(function["arguments"], changed)
        return {**call, "function": {**function, "arguments": arguments}}

    def _clean_values(self, value: Any, changed: set[str]) -> Any:
        if isinstance(value, str):
            return self._cleaned(value, changed)
        if isinstance(value, list):
            return [self._clean_values(part, changed) for part in value]
        if isinstance(value, dict):
            return {key: self._clean_values(part, changed) for key, part in value.items()}
        return value

    def _cleaned(self, text: str, changed: set[str]) -> str:
        """The clean text, which must not be too long or forge a turn."""
        if self.cleaner.leaves(text) and len(text) <= self.max_characters:
            return text
        text, steps = self.cleaner.clean(text)
        if len(text) > self.max_characters:
            raise UnfitError("too_long")
        if ("<" in text or "[" in text) and fields.CONTROL_TOKEN.search(text):
            raise UnfitError("control_token")
        changed |= steps
        return text


def _asked(messages: list[Message]) -> str:
    """As `Record.asked`, before there is a record: making it twice costs more than all cleaning."""
    turns = [message["content"] for message in messages if message["role"] == "user"]
    return "\n".join(turns) or messages[-1]["content"]


def _parsed(line: str) -> Any:
    try:
        return strict_json.parse(line)
    except UnfitError as unfit:  # only the last line of a file may lack its end
        if str(unfit) == "invalid_json" and line.startswith("{") and line[-1] not in "}\n":
            raise UnfitError("truncated_last_line") from None
        raise


class Intakes:
    """The intakes of all sources, as one function of (source's place, rows)."""

    def __init__(self, intakes: list[Intake], layout: Layout) -> None:
        self.intakes, self.layout = intakes, layout

    def __call__(self, chunk: tuple[int, list[Numbered]]) -> tuple[Table, Taken]:
        """The records as columns, and what else became of the rows."""
        number, rows = chunk
        taken = self.intakes[number].take(rows)
        return self.layout.table(taken.records), replace(taken, records=[])


def take_all(root: Path, intakes: list[Intake], layout: Layout) -> Iterator[tuple[Table, Taken]]:
    """What became of all rows of all sources, in their order."""
    shingles.normalize([])  # makes its table here once, not in each process
    chunks = (
        (number, chunk)
        for number, intake in enumerate(intakes)
        for chunk in parallel.chunks(readers.rows(root, intake.source), _length)
    )
    return parallel.each(Intakes(intakes, layout), chunks)


def _length(row: Any) -> int:
    """Characters of all texts in a row."""
    if isinstance(row, str):
        return len(row)
    if isinstance(row, dict):
        return sum(map(_length, row.values()))
    return sum(map(_length, row)) if isinstance(row, list | tuple) else 0
