"""What happens to each row on its own: it is read, checked, cleaned and judged."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from stages import records
from stages.corpus import formats, label_studio, language, parallel, quality, readers, strict_json
from stages.corpus.cleaning import Cleaner
from stages.corpus.readers import Numbered
from stages.corpus.rejection import Rejected, UnfitError, shown
from stages.corpus.sources import Source
from stages.records import Message, Record

_CHUNK = 2000


@dataclass(slots=True)
class Taken:
    """What became of some rows."""

    lines: list[bytes] = field(default_factory=list)
    """The records, as canonical lines: they travel between processes faster."""
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
        limits: quality.Quality,
        max_characters: int,
    ) -> None:
        self.source, self.labels = source, labels
        self.cleaner, self.limits, self.max_characters = cleaner, limits, max_characters

    def take(self, rows: Iterable[Numbered]) -> Taken:
        """Each row becomes a record or a rejected row; the counts add up."""
        taken = Taken()
        for origin, row in rows:
            try:
                taken.lines.append(records.dump(self._record(origin, row, taken)))
            except UnfitError as unfit:
                text = "" if isinstance(row, UnfitError) else shown(row)
                taken.rejected.append(Rejected(origin=origin, reason=str(unfit), row=text))
        return taken

    def _record(self, origin: str, row: readers.Row, taken: Taken) -> Record:
        if isinstance(row, UnfitError):
            raise row
        fields = _parsed(row) if isinstance(row, str) else row
        if self.source.format == "label_studio":
            votes = label_studio.votes(fields)
            taken.votes += [(self.source.path, vote) for vote in votes]
            fields = label_studio.fields(fields, votes)
        if not isinstance(fields, dict):
            raise UnfitError("not_an_object")
        if self.source.constants:
            fields |= self.source.constants
        read = formats.conversation(fields, self.source)
        if self.labels is not None and read.messages[-1]["content"] not in self.labels:
            raise UnfitError("unknown_label")
        changed: set[str] = set()
        messages = [self._clean(message, changed) for message in read.messages]
        rejected = read.rejected
        if rejected is not None:
            rejected = self._clean({"content": rejected}, changed)["content"]
        record = Record(
            messages=messages,
            task=formats.word(fields, self.source, "task") or self.source.task,
            source=self.source.path,
            origin=origin,
            slices={name: formats.slice_value(fields, name) for name in self.source.slices},
            weight=self.source.weight,
            rejected=rejected,
            desirable=read.desirable,
            tools=read.tools,
            group=formats.word(fields, self.source, "group"),
            language=language.of(_asked(messages)),
        )
        faults = quality.faults(record, self.limits)
        score = quality.score(faults)
        if score < self.limits.min_score:
            raise UnfitError("low_quality")
        taken.cleaned.update(changed)
        taken.faults.update(faults)
        return replace(record, quality=score) if faults else record

    def _clean(self, message: Message, changed: set[str]) -> Message:
        """The message with clean text, which must not be empty, too long or forge a turn."""
        text, steps = self.cleaner.clean(message["content"])
        if not text.strip() and "tool_calls" not in message:
            raise UnfitError("empty_after_cleaning")
        if len(text) > self.max_characters:
            raise UnfitError("too_long")
        if ("<" in text or "[" in text) and formats.CONTROL_TOKEN.search(text):
            raise UnfitError("control_token")
        changed |= steps
        return {**message, "content": text} if steps else message


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

    def __init__(self, intakes: list[Intake]) -> None:
        self.intakes = intakes

    def __call__(self, chunk: tuple[int, list[Numbered]]) -> Taken:
        number, rows = chunk
        return self.intakes[number].take(rows)


def take_all(root: Path, intakes: list[Intake]) -> Iterator[Taken]:
    """What became of all rows of all sources, in their order."""
    chunks = (
        (number, chunk)
        for number, intake in enumerate(intakes)
        for chunk in _chunks(readers.rows(root, intake.source))
    )
    return parallel.each(Intakes(intakes), chunks)


def _chunks(rows: Iterator[Numbered]) -> Iterator[list[Numbered]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk
