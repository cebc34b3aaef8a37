"""Rows with spans: the text of a row and its spans, told apart by the shape of the annotation."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.data.label_studio.spans import Span
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import field_synonyms, row_fields
from lockstep.data.rows.row_fields import Row
from lockstep.data.rows.row_templates import DerivedColumns
from lockstep.data.sources import Source
from lockstep.data.span_annotations import inline_spans, marks, placing, tagged_tokens
from lockstep.data.span_annotations.marks import Mark
from lockstep.data.span_annotations.tagged_tokens import Bounds


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text and its marks, which are not placed yet."""

    text: str
    marks: Sequence[Mark]
    tokens: Sequence[Bounds] | None = None
    """Bounds of the tokens that the marks count; None if they count characters."""
    ends: str = ""
    """Kind of the ends: exclusive or inclusive; empty: the mentions decide."""


def read_row(row: Row, source: Source) -> tuple[str, list[Span]]:
    """Return the text of a row and its spans; raise InvalidRowError if there are none."""
    marked = _read_marked(row, source)
    text = row_fields.check_text(marked.text, "text")
    one_place = source.annotation == "tags"
    return text, placing.place_marks(marked.marks, text, marked.tokens, marked.ends, one_place)


def find_columns(names: Collection[str], source: Source) -> dict[str, str]:
    """Return the column of each field that is read: the one of the settings, or its first name."""
    columns = dict[str, str]()
    for field, synonyms in field_synonyms.SPAN_COLUMNS.items():
        candidates = [source.columns[field]] if field in source.columns else synonyms
        name = next((name for name in candidates if name in names), None)
        if name is not None:
            columns[field] = name
    return columns


def resolve_ends(source: Source, rows: Iterable[Row | None]) -> Source:
    """Return the source with the kind of ends that the mentions in its first rows show.

    Rows without mentions are read like the others then. It stays open if the rows differ.
    """
    if source.format != "spans" or source.ends:
        return source
    derived, found = DerivedColumns(source.named_columns, source.templates), set()
    for row in rows:
        try:
            marked = _read_marked(derived.add_to(row or {}), source)
            found.add(placing.find_ends(marked.marks, marked.text, marked.tokens))
        except InvalidRowError:
            continue  # the conversion rejects it
    found.discard("")
    return source.model_copy(update={"ends": found.pop()}) if len(found) == 1 else source


def _read_marked(row: Row, source: Source) -> MarkedText:
    columns = find_columns(row, source)
    if "spans" not in columns:
        raise InvalidRowError(
            "missing_spans",
            detail=f"set columns: {{spans: …}}; the row has {', '.join(map(str, row))}",
        )
    value = row[columns["spans"]]
    if value is None or value == "":
        raise InvalidRowError(
            "spans_is_null" if value is None else "empty_spans",
            detail="write [] for a text without spans, or leave the row out by where",
        )
    tokens = tagged_tokens.read_tokens(row.get(columns.get("tokens", "")))
    text = row.get(columns.get("text", ""))
    if tokens and "tokens" in source.columns and not source.sets("text"):
        text = None  # the settings name the tokens alone
    if text is not None:
        text = row_fields.check_text(text, "text")
    if isinstance(value, str):
        return _read_text(value, text, tokens, source)
    return _read_value(value, text, tokens, source)


def _read_text(
    value: str, text: str | None, tokens: list[str] | None, source: Source
) -> MarkedText:
    """Read spans that are JSON in a table's cell, tags between blanks, or mark-up in the text."""
    words = value.split()
    if words and all(map(tagged_tokens.is_tag, words)):
        return _read_tags(words, text, tokens, source)
    if value.lstrip().startswith(("[", "{")):
        try:
            return _read_value(row_fields.parse_json(value, "spans"), text, tokens, source)
        except InvalidRowError as error:
            if str(error) != "spans_not_json" or not inline_spans.has_markup(value):
                raise
    if text is None and not source.sets("spans"):
        raise InvalidRowError("missing_text", detail=f"spans are {show_value(value)}")
    return MarkedText(*inline_spans.read_markup(value, text, source), ends=placing.EXCLUSIVE)


def _read_value(
    value: Any, text: str | None, tokens: list[str] | None, source: Source
) -> MarkedText:
    """Read chunks, tags, or the bounds of spans; these count tokens if there is no other text."""
    if isinstance(value, list) and value and all(map(_is_tag, value)):
        return _read_tags(value, text, tokens, source)
    if text is None and tokens:
        text, bounds = tagged_tokens.join_tokens(tokens)
        return MarkedText(text, marks.read_marks(value, source), bounds, source.ends)
    if inline_spans.is_chunks(value, text):
        return MarkedText(*inline_spans.read_chunks(value, source), ends=placing.EXCLUSIVE)
    if text is None:
        raise _miss_text()
    return MarkedText(text, marks.read_marks(value, source), ends=source.ends)


def _read_tags(
    tags: Sequence[Any], text: str | None, tokens: list[str] | None, source: Source
) -> MarkedText:
    """Read a tag for each token, or for each word or character of the text."""
    if text is not None and tokens:
        bounds = tagged_tokens.locate_tokens(text, tokens)
    elif text is not None:
        bounds = tagged_tokens.split_text(text, len(tags))
    elif tokens:
        text, bounds = tagged_tokens.join_tokens(tokens)
    else:
        raise _miss_text()
    tagged_tokens.check_numbers(bounds, tags)
    found = tagged_tokens.find_tagged(tags, source)
    spans = [Mark(start, end, [name]) for (start, end), name in found]
    return MarkedText(text, spans, bounds, placing.EXCLUSIVE)


def _miss_text() -> InvalidRowError:
    return InvalidRowError(
        "missing_text", detail="set columns: {text: …}, or {tokens: …} for a list of tokens"
    )


def _is_tag(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
