"""Labelled spans of a text: checked, and written as slots in JSON or as tags in the text."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from lockstep.data.label_studio.dialogues import find_offset
from lockstep.data.rejected_rows import InvalidRowError

Span = tuple[int, int, str]
"""Start, end and label of a part of a text; offsets count characters."""

_BLANKS = re.compile(r"(?:\s|\\n)+")
_NOT_A_TAG = re.compile(r"[^\w.-]+")


def read_spans(values: Iterable[Mapping[str, Any]], text: str) -> list[Span]:
    """Return the sorted spans without blanks at their ends; one for each label of a value.

    Raise InvalidRowError if a span is not in the text, or if its own text differs from it.
    """
    spans = {
        (*_find_bounds(value, text), label)
        for value in values
        for label in _list_labels(value.get("labels"))
    }
    return sorted(spans, key=lambda span: (span[0], -span[1], span[2]))


def format_slots(spans: Sequence[Span], text: str) -> str:
    """Return {label: text} as JSON in the order of the text; a label with several spans has a list.

    Spans may overlap, since each has its own text.
    """
    slots: dict[str, str | list[str]] = {}
    for start, end, label in spans:
        part, earlier = text[start:end], slots.get(label)
        if earlier is None:
            slots[label] = part
        else:
            slots[label] = [*(earlier if isinstance(earlier, list) else [earlier]), part]
    return orjson.dumps(slots).decode()


def format_tags(spans: Sequence[Span], text: str) -> str:
    """Return the text with each span between tags named by its label; spans may be nested.

    Raise InvalidRowError if two spans overlap and neither contains the other, or if the text has
    such a tag already.
    """
    tagged, position, open_spans = "", 0, list[tuple[int, str]]()
    for start, end, label in spans:
        while open_spans and open_spans[-1][0] <= start:
            close, name = open_spans.pop()
            tagged, position = f"{tagged}{text[position:close]}</{name}>", close
        if open_spans and open_spans[-1][0] < end:
            raise InvalidRowError(
                "overlapping_spans",
                detail=f"{text[start:end]!r} overlaps another span; tags can only be nested",
            )
        name = _NOT_A_TAG.sub("_", label)
        if f"<{name}>" in text or f"</{name}>" in text:
            raise InvalidRowError("tag_in_text")
        tagged, position = f"{tagged}{text[position:start]}<{name}>", start
        open_spans.append((end, name))
    for close, name in reversed(open_spans):
        tagged, position = f"{tagged}{text[position:close]}</{name}>", close
    return tagged + text[position:]


WRITERS: dict[str, Callable[[Sequence[Span], str], str]] = {
    "slots": format_slots,
    "tags": format_tags,
}
"""Reading of spans -> function that writes the answer."""


def is_equal(part: str, marked: str) -> bool:
    """Whether two texts are equal but for blanks; Label Studio writes line ends in its own way."""
    return _BLANKS.sub("", part) == _BLANKS.sub("", marked)


def _list_labels(labels: Any) -> list[str]:
    """Return the labels of a span; raise InvalidRowError if it has none."""
    names = [labels] if isinstance(labels, str) else labels
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise InvalidRowError("span_without_label")
    return names


def _find_bounds(value: Mapping[str, Any], text: str) -> tuple[int, int]:
    """Return start and end in characters, also where the annotation counts UTF-16 code units."""
    try:
        start, end = int(value["start"]), int(value["end"])
    except (KeyError, TypeError, ValueError):
        raise InvalidRowError("span_without_bounds") from None
    marked = value.get("text")
    bounds = [(start, end), (find_offset(text, start), find_offset(text, end))]
    for first, last in bounds:
        part = text[first:last] if 0 <= first < last <= len(text) else ""
        if part.strip() and (not isinstance(marked, str) or is_equal(part, marked)):
            return first + len(part) - len(part.lstrip()), last - len(part) + len(part.rstrip())
    raise InvalidRowError(
        "span_not_in_text",
        detail=f"the text from {start} to {end} is not {marked!r}; was the text changed?",
    )
