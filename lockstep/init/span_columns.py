"""The columns by which texts with annotated spans are recognized."""

from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import field_synonyms
from lockstep.data.rows.column_names import SYNONYMS
from lockstep.data.sources import Source
from lockstep.data.span_annotations import span_rows
from lockstep.data.span_annotations.tagged_tokens import OUTSIDE

MAX_ROWS = 100
"""Maximum number of rows that are read to recognize spans."""
_TEXTS = ("utt", *SYNONYMS["text"])
_TOKENS = (*field_synonyms.SPAN_COLUMNS["tokens"], "tokenized_text")
_SPANS = (*field_synonyms.SPAN_COLUMNS["spans"], "ner", "annot_utt", "slots", "mentions", "data")
"""Names of columns, the most common first."""


def match_spans(rows: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    """Return the columns of texts and their spans; None if they cannot be read as such."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    for columns in _list_candidates(names):
        if _are_readable(rows[:MAX_ROWS], columns):
            return columns
    return None


def _list_candidates(names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield {field: column} of a text or tokens and their spans, and of spans alone."""
    places = [{"text": name} for name in _TEXTS if name in names]
    places += [{"tokens": name} for name in _TOKENS if name in names]
    for spans in _SPANS:
        for place in [*places, {}] if spans in names else ():
            if spans not in place.values():
                yield {**place, "spans": spans}


def _are_readable(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> bool:
    """Whether almost all rows can be read, and at least one has a span."""
    source = Source(path="rows.jsonl", format="spans", columns=columns)
    readable, has_spans = 0, False
    for row in rows:
        try:
            _, found = span_rows.read_row(row, source)
        except InvalidRowError as error:  # tags that are numbers need the setting label_names
            found, is_coded = [], str(error) == "tags_without_names" and "tokens" in columns
            readable += is_coded
            has_spans |= is_coded
        else:
            readable += 1
            has_spans |= bool(found) and not _is_label_list(row[columns["spans"]])
    return has_spans and readable >= 0.98 * len(rows)


def _is_label_list(value: Any) -> bool:
    """Whether a list of texts may be labels of the whole text: it has neither O nor a prefix."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return False
    return not any(item == OUTSIDE or item[1:2] in ("-", "_") for item in value)
