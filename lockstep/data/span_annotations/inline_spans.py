"""Spans that stand in the text itself: chunks with labels, and mark-up in square brackets."""

import re
from collections.abc import Sequence
from typing import Any

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields
from lockstep.data.sources import Source
from lockstep.data.span_annotations.marks import LABEL_KEYS, Mark, has_bounds

_MARKED = re.compile(r"\[\s*([^\[\]:{}\"]+?)\s*:\s*([^\[\]]+?)\s*\]")
"""A marked part as in MASSIVE: `[time : nine am]`."""
_CHUNK_LABELS = ("slot_name", *LABEL_KEYS)
"""Keys of a chunk's label; Snips names a slot beside the type of its entity."""
_CHUNK_KEYS = {"text", "entity", "slot_name"}
"""Keys of a chunk in SNIPS."""


def is_chunks(value: Any, text: str | None) -> bool:
    """Whether a list holds chunks as SNIPS publishes them, which make the text together.

    Without that text, objects that all have a label are chunks only by the keys of SNIPS; others
    are mentions in a text that the settings do not name.
    """
    if not isinstance(value, list) or not value:
        return False
    if not all(isinstance(item, dict) and isinstance(item.get("text"), str) for item in value):
        return False
    if text is not None:
        return "".join(item["text"] for item in value) == text
    if any(has_bounds(item) for item in value):
        return False
    return None in map(_find_label, value) or all(item.keys() <= _CHUNK_KEYS for item in value)


def read_chunks(chunks: Sequence[dict[str, Any]], source: Source) -> tuple[str, list[Mark]]:
    """Return the text of chunks, and the marks of those that have a label."""
    text, marks = "", []
    for chunk in chunks:
        start = len(text)
        text += chunk["text"]
        label = _find_label(chunk)
        if label is not None:
            marks.append(Mark(start, len(text), [row_fields.read_label(label, source)]))
    return text, marks


def has_markup(text: str) -> bool:
    """Whether a text has a marked part."""
    return _MARKED.search(text) is not None


def read_markup(marked: str, text: str | None, source: Source) -> tuple[str, list[Mark]]:
    """Return the text without its mark-up, and the marks.

    Raise InvalidRowError if the row's own text is another one.
    """
    plain, marks, position = "", [], 0
    for found in _MARKED.finditer(marked):
        plain += marked[position : found.start()]
        label = row_fields.read_label(found[1], source)
        marks.append(Mark(len(plain), len(plain) + len(found[2]), [label]))
        plain, position = plain + found[2], found.end()
    plain += marked[position:]
    if text is not None and text.split() != plain.split():
        raise InvalidRowError(
            "spans_of_other_text", detail=f"without its mark-up it is {show_value(plain)}"
        )
    return plain, marks


def _find_label(chunk: dict[str, Any]) -> Any:
    return next((chunk[key] for key in _CHUNK_LABELS if chunk.get(key)), None)
