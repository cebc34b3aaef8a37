"""Conversion of rows to records: each row is parsed, checked, cleaned and scored by itself."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from lockstep.data import label_studio, language, quality, row_fields, row_formats, strict_json
from lockstep.data.cleaning import Cleaner
from lockstep.data.file_reading import RawRow
from lockstep.data.label_studio import Vote
from lockstep.data.quality import QualityParams
from lockstep.data.rejected_rows import InvalidRowError, RejectedRow, shorten_row
from lockstep.data.row_templates import DerivedColumns
from lockstep.data.sources import Source
from lockstep.records import Message, Record, parse_labels


@dataclass(slots=True)
class ConvertedRows:
    """The result of converting some rows."""

    records: list[Record] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    cleaned: Counter[str] = field(default_factory=Counter)
    """Number of records that each cleaning step changed."""
    faults: Counter[str] = field(default_factory=Counter)
    """Number of records in which each quality signal found a fault."""
    votes: list[tuple[str, Vote]] = field(default_factory=list)
    """Answers of annotators, each with the path of its source."""
    columns: set[str] = field(default_factory=set)
    """Columns that at least one row has."""

    def add(self, other: "ConvertedRows") -> None:
        """Add the result of other rows."""
        self.records += other.records
        self.rejected += other.rejected
        self.cleaned += other.cleaned
        self.faults += other.faults
        self.votes += other.votes
        self.columns |= other.columns


class RowConverter:
    """Converts the rows of one source to records."""

    def __init__(
        self,
        source: Source,
        labels: frozenset[str] | None,
        cleaner: Cleaner,
        limits: QualityParams,
        max_characters: int,
    ) -> None:
        """Create a converter; `labels` are the allowed labels, None allows all."""
        self.source = source
        self.labels = labels and {cleaner.clean(label)[0] for label in labels}
        self.cleaner, self.limits, self.max_characters = cleaner, limits, max_characters
        self.derived_columns = DerivedColumns(source.named_columns, source.templates) or None

    def convert(self, rows: Iterable[tuple[str, RawRow]]) -> ConvertedRows:
        """Convert each (origin, row) to a record or to a rejected row."""
        converted = ConvertedRows()
        for origin, row in rows:
            try:
                converted.records.append(self._convert_row(origin, row, converted))
            except InvalidRowError as error:
                text = shorten_row(row.row if isinstance(row, InvalidRowError) else row)
                converted.rejected.append(RejectedRow(origin=origin, reason=str(error), row=text))
        return converted

    def _convert_row(self, origin: str, raw_row: RawRow, converted: ConvertedRows) -> Record:
        """Return the record of a row; add its votes, faults and cleaning steps to `converted`."""
        row = self._parse_row(raw_row, converted)
        conversation = row_formats.parse_row(row, self.source)
        changed: set[str] = set()
        messages = [self._clean_message(message, changed) for message in conversation.messages]
        rejected = conversation.rejected
        if rejected is not None:
            rejected = self._clean_message({"content": rejected}, changed)["content"]
            if rejected == messages[-1]["content"]:
                raise InvalidRowError("chosen_equals_rejected")
        if not self._are_labels_allowed(messages[-1]["content"]):
            raise InvalidRowError("unknown_label")
        record = Record(
            messages=messages,
            task=row_fields.get_named_field(row, self.source, "task") or self.source.task,
            source=self.source.name,
            origin=origin,
            slices={name: row_fields.get_slice_value(row, name) for name in self.source.slices},
            weight=self.source.weight,
            rejected=rejected,
            desirable=conversation.desirable,
            tools=conversation.tools,
            group=self._read_group(row),
            language=language.detect_language(_join_user_texts(messages)),
        )
        faults = quality.find_faults(record, self.limits)
        if faults:
            record = replace(record, quality=quality.compute_score(faults))
            if record.quality < self.limits.min_score:
                raise InvalidRowError("low_quality")
            converted.faults.update(faults)
        if changed:
            converted.cleaned.update(changed)
        return record

    def _parse_row(self, raw_row: RawRow, converted: ConvertedRows) -> dict[str, Any]:
        """Return the columns of a row, with the constants of the source."""
        if isinstance(raw_row, InvalidRowError):
            raise raw_row
        row = _parse_line(raw_row) if isinstance(raw_row, str) else raw_row
        if self.source.format == "label_studio":
            votes = label_studio.read_votes(row)
            converted.votes += [(self.source.name, vote) for vote in votes]
            row = label_studio.merge_votes(row, votes)
        if not isinstance(row, dict):
            raise InvalidRowError("not_an_object")
        if self.source.constants:
            row |= self.source.constants
        if self.derived_columns:
            row = self.derived_columns.add_to(row)
        converted.columns.update(row)
        return row

    def _are_labels_allowed(self, answer: str) -> bool:
        return self.labels is None or self.labels >= set(parse_labels(answer))

    def _read_group(self, row: dict[str, Any]) -> str:
        """Return the group as `column=value`, so that files with the same column share groups."""
        name = row_fields.get_named_field(row, self.source, "group")
        return name and f"{self.source.get_column('group')}={name}"

    def _clean_message(self, message: Message, changed: set[str]) -> Message:
        """Return a message with clean content, reasoning and tool call arguments.

        Add the names of the steps that changed something to `changed`. Raise InvalidRowError if
        no text is left.
        """
        text = self._clean_text(message["content"], changed)
        if not text.strip() and "tool_calls" not in message:
            raise InvalidRowError("empty_after_cleaning")
        if text is not message["content"]:
            message = {**message, "content": text}
        if "reasoning_content" in message:
            reasoning = self._clean_text(message["reasoning_content"], changed)
            message = {**message, "reasoning_content": reasoning}
        if "tool_calls" in message:
            calls = [self._clean_call(call, changed) for call in message["tool_calls"]]
            message = {**message, "tool_calls": calls}
        return message

    def _clean_call(self, call: dict[str, Any], changed: set[str]) -> dict[str, Any]:
        """Return a tool call whose arguments are cleaned in the same way as the question."""
        function = call["function"]
        arguments = self._clean_values(function["arguments"], changed)
        return {**call, "function": {**function, "arguments": arguments}}

    def _clean_values(self, value: Any, changed: set[str]) -> Any:
        if isinstance(value, str):
            return self._clean_text(value, changed)
        if isinstance(value, list):
            return [self._clean_values(child, changed) for child in value]
        if isinstance(value, dict):
            return {key: self._clean_values(child, changed) for key, child in value.items()}
        return value

    def _clean_text(self, text: str, changed: set[str]) -> str:
        """Return the clean text; raise InvalidRowError if it is too long or has a control token."""
        if self.cleaner.is_clean(text) and len(text) <= self.max_characters:
            return text
        text, steps = self.cleaner.clean(text)
        if len(text) > self.max_characters:
            raise InvalidRowError("too_long")
        if ("<" in text or "[" in text) and row_fields.CONTROL_TOKEN.search(text):
            raise InvalidRowError("control_token")
        changed |= steps
        return text


def _join_user_texts(messages: list[Message]) -> str:
    """Return the later `Record.user_text`, without the cost of creating the record twice."""
    texts = [message["content"] for message in messages if message["role"] == "user"]
    return "\n".join(texts) or messages[-1]["content"]


def _parse_line(line: str) -> Any:
    """Return the JSON value in a line; raise InvalidRowError if there is none."""
    try:
        return strict_json.parse(line)
    except InvalidRowError as error:
        is_incomplete = line.startswith("{") and line[-1] not in "}\n"  # the last line of a file
        if str(error) == "invalid_json" and is_incomplete:
            raise InvalidRowError("truncated_last_line") from None
        raise
