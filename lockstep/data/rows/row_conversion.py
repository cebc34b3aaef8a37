"""Conversion of rows to records: each row is parsed, checked, cleaned and scored by itself."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from lockstep.data import invalid_bytes, language, quality, strict_json
from lockstep.data.cleaning.cleaner import Cleaner
from lockstep.data.file_reading import RawRow
from lockstep.data.grades import Grades, make_code
from lockstep.data.label_studio import voting
from lockstep.data.quality import QualityParams
from lockstep.data.rejected_rows import InvalidRowError, RejectedRow, shorten_row, show_value
from lockstep.data.rows import (
    field_synonyms,
    learnt_turns,
    python_literals,
    row_fields,
    row_formats,
    row_notes,
)
from lockstep.data.rows.allowed_labels import AllowedLabels
from lockstep.data.rows.conversation import Conversation
from lockstep.data.rows.converted_rows import ConvertedRows
from lockstep.data.rows.message_cleaning import MessageCleaner
from lockstep.data.rows.row_templates import DerivedColumns
from lockstep.data.source_formats import LABEL_FORMATS
from lockstep.data.sources import Source
from lockstep.records import Message, Record


class RowConverter:
    """Converts the rows of one source to records."""

    def __init__(
        self,
        source: Source,
        labels: frozenset[str] | None,
        cleaner: Cleaner,
        limits: QualityParams,
        max_characters: int,
        grades: Grades | None = None,
        mismatched_arguments: Literal["note", "reject"] = "note",
    ) -> None:
        """Create a converter; `labels` are the allowed labels, None allows all."""
        self.grades = grades or {}
        self.source = source
        self.source_name = source.name  # computed once, since it takes as long as a step
        self.labels = AllowedLabels(labels, source, cleaner)
        self.cleaning = MessageCleaner(cleaner, source.format, max_characters)
        self.limits = limits
        self.slices = tuple(source.slices)
        self.has_labels = source.format in LABEL_FORMATS
        self.has_groups = source.sets("group") or source.format == "label_studio"
        self.mismatched_arguments = mismatched_arguments
        self.placeholders = row_notes.PlaceholderFinder(source)
        self.unread_inputs = row_notes.UnreadInputFinder(source)
        self.derived_columns = DerivedColumns(source.named_columns, source.templates) or None

    def convert(self, rows: Iterable[tuple[str, RawRow]]) -> ConvertedRows:
        """Convert each (origin, row) to a record or to a rejected row."""
        converted = ConvertedRows()
        for origin, row in rows:
            try:
                self._convert_row(origin, row, converted)
            except InvalidRowError as invalid:
                error = invalid_bytes.explain_error(invalid, row, self.source.encoding)
                text = shorten_row(row.row if isinstance(row, InvalidRowError) else row)
                converted.rejected.append(
                    RejectedRow(origin=origin, reason=str(error), row=text, detail=error.detail)
                )
        return converted

    def _convert_row(self, origin: str, raw_row: RawRow, converted: ConvertedRows) -> None:
        """Add the records of a row, its votes, faults and cleaning steps to `converted`.

        A row has several records if it is a preference with several answers on a side. They are
        a group, so that they stay in one split.
        """
        row = self._parse_row(raw_row, converted)
        row, conversations = self._parse_conversations(row, converted)
        notes = self._find_notes(row, origin, conversations)
        group = self._read_group(row) if self.has_groups else ""
        if len(conversations) == 1:
            results = [self._convert_conversation(origin, row, group, conversations[0], converted)]
        else:
            results = [
                self._convert_conversation(
                    f"{origin}.{number}", row, group or f"row={origin}", pair, converted
                )
                for number, pair in enumerate(conversations, 1)
            ]
        for record, faults, changed in results:
            converted.records.append(record)
            if faults:
                converted.faults.update(faults)
            if changed:
                converted.cleaned.update(changed)
        converted.shortened += conversations[0].is_shortened
        if notes:
            converted.note(origin, notes)

    def _find_notes(
        self, row: dict[str, Any], origin: str, conversations: Sequence[Conversation]
    ) -> dict[str, str]:
        """Return notes on a row; raise InvalidRowError if a turn must not be learnt as it is."""
        notes = self.placeholders.find(row, origin)
        notes |= self.unread_inputs.find(row, conversations[0])
        for conversation in conversations:
            notes |= conversation.notes
            notes |= self._find_mismatches(conversation)
            if conversation.margin is not None:
                notes = row_notes.find_negative_margin(conversation.margin) | notes
        return notes

    def _find_mismatches(self, conversation: Conversation) -> dict[str, str]:
        """Return notes on calls; raise InvalidRowError if a turn must not be learnt as it is."""
        notes = learnt_turns.check_learnt_turns(conversation, self.source)
        if notes and self.mismatched_arguments == "reject" and not self.source.is_published_test:
            kind, detail = next(iter(notes.items()))
            raise InvalidRowError(kind, detail=detail)
        return notes

    def _parse_conversations(
        self, row: dict[str, Any], converted: ConvertedRows
    ) -> tuple[dict[str, Any], list[Conversation]]:
        """Return a row and its conversations; literals of Python in it are replaced by values."""
        while True:
            try:
                return row, row_formats.parse_row(row, self.source)
            except InvalidRowError as error:
                row, column = python_literals.replace_literal(row, self.source, error)
                converted.literals[column] += 1

    def _convert_conversation(
        self,
        origin: str,
        row: dict[str, Any],
        group: str,
        conversation: Conversation,
        converted: ConvertedRows,
    ) -> tuple[Record, Sequence[str], set[str]]:
        """Return a record, its quality faults and the cleaning steps that changed it.

        If people graded it, add its item code to `converted`.
        """
        changed: set[str] = set()
        if self.has_labels:  # labels are names, which stay as they are
            *prompt, answer = conversation.messages
            messages = [self.cleaning.clean(message, changed) for message in prompt]
            messages.append(self.labels.spell(answer))
        else:
            messages = [self.cleaning.clean(message, changed) for message in conversation.messages]
        rejected = conversation.rejected
        if rejected is not None:
            rejected = self.cleaning.clean_rejected(rejected, messages[-1], changed)
        self.labels.check(messages[-1]["content"])
        slices = {name: row_fields.get_slice_value(row, name) for name in self.slices}
        if conversation.reject_reason:
            slices.setdefault(field_synonyms.REJECT_REASON, conversation.reject_reason)
        record = Record(
            messages=messages,
            task=row_fields.get_named_field(row, self.source, "task") or self.source.task,
            source=self.source_name,
            origin=origin,
            slices=slices,
            weight=self.source.weight * conversation.weight,
            rejected=rejected,
            margin=conversation.margin,
            desirable=conversation.desirable,
            accepted_calls=conversation.accepted_calls,
            tools=conversation.tools,
            group=group,
            language=language.detect_language(_join_user_texts(messages)),
        )
        if self.grades:
            self._check_grades(record, converted)
        faults = quality.find_faults(record, self.limits)
        if faults:
            record = replace(record, quality=quality.compute_score(faults))
            if record.quality < self.limits.min_score:
                raise InvalidRowError("low_quality", detail=f"faults: {', '.join(faults)}")
        return record, faults, changed

    def _check_grades(self, record: Record, converted: ConvertedRows) -> None:
        """Raise InvalidRowError if the record has a low grade; note that it has grades."""
        code = make_code(record)
        if code not in self.grades:
            return
        converted.graded.add(code)
        dimension, grade = min(self.grades[code].items(), key=lambda item: item[1])
        if grade < self.limits.min_grade:
            raise InvalidRowError("low_grade", detail=f"{dimension}: {round(grade, 2):g}")

    def _parse_row(self, raw_row: RawRow, converted: ConvertedRows) -> dict[str, Any]:
        """Return the columns of a row, with the constants of the source."""
        if isinstance(raw_row, InvalidRowError):
            raise raw_row
        row = _parse_line(raw_row) if isinstance(raw_row, str) else raw_row
        if self.source.format == "label_studio":
            votes = voting.read_votes(row)
            converted.votes += [(self.source.name, vote) for vote in votes]
            row = voting.merge_votes(row, votes)
        if not isinstance(row, dict):
            raise InvalidRowError("not_an_object", detail=f"the row is {show_value(row)}")
        row_fields.check_names(row)
        for name, value in self.source.constants.items():
            if row.get(name) not in (None, "", value):
                converted.replaced.add(name)
            row[name] = value
        if self.derived_columns:
            row = self.derived_columns.add_to(row)
        converted.columns.update(row)
        return row

    def _read_group(self, row: dict[str, Any]) -> str:
        """Return the group as `column=value`, so that files with the same column share groups."""
        name = row_fields.get_named_field(row, self.source, "group")
        if not name and voting.GROUP in row:
            return str(row[voting.GROUP])
        return name and f"{self.source.get_column('group')}={name}"


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
