"""Placing of marks in their text: inclusive or exclusive ends, characters or tokens, mentions."""

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from lockstep.data.label_studio import spans
from lockstep.data.label_studio.spans import Span
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.span_annotations.marks import Mark
from lockstep.data.span_annotations.tagged_tokens import Bounds

EXCLUSIVE, INCLUSIVE = "exclusive", "inclusive"


def place_marks(
    marks: Sequence[Mark], text: str, tokens: Sequence[Bounds] | None, ends: str, one_place: bool
) -> list[Span]:
    """Return the spans of marks in a text.

    Bounds count tokens if their bounds are given. `ends` is exclusive or inclusive; if it is empty,
    the mentions decide, and without any it is exclusive. A mark without bounds is found by its
    mention, which may stand there several times unless `one_place` is set.
    """
    ends = ends or find_ends(marks, text, tokens) or EXCLUSIVE
    bounds = [*_place_mentions([mark for mark in marks if mark.start is None], text, one_place)]
    bounds += [
        (_check_mark(mark, text, tokens, ends), mark) for mark in marks if mark.start is not None
    ]
    values: Iterable[dict[str, Any]] = (
        {"start": start, "end": end, "labels": mark.labels} for (start, end), mark in bounds
    )
    return spans.read_spans(values, text)


def find_ends(marks: Sequence[Mark], text: str, tokens: Sequence[Bounds] | None) -> str:
    """Return how the mentions say that ends are counted; "" if there is no mention.

    Raise InvalidRowError if a mention stands at neither place, or if mentions differ in it.
    """
    found = set()
    for mark in marks:
        if mark.start is None or not mark.mention:
            continue
        fitting = [
            ends
            for equal in (operator.eq, spans.is_equal)  # a mention may end with a blank
            for ends in (EXCLUSIVE, INCLUSIVE)
            if _fits(mark, text, tokens, ends, equal)
        ]
        if not fitting:
            _refuse(mark, text, tokens, EXCLUSIVE)
        found.add(fitting[0])
    if len(found) > 1:
        raise InvalidRowError(
            "span_ends_differ", detail="some ends are inclusive, others exclusive by their mention"
        )
    return found.pop() if found else ""


def _check_mark(mark: Mark, text: str, tokens: Sequence[Bounds] | None, ends: str) -> Bounds:
    """Return the bounds of a mark in characters; raise InvalidRowError if they are wrong."""
    bounds = _find_bounds(mark, text, tokens, ends)
    if bounds is None or (mark.mention and not _fits(mark, text, tokens, ends)):
        _refuse(mark, text, tokens, ends)
    return bounds


def _find_bounds(
    mark: Mark, text: str, tokens: Sequence[Bounds] | None, ends: str
) -> Bounds | None:
    """Return the bounds in characters; None if they are not in the text."""
    if mark.start is None or mark.end is None:
        return None
    start, end = mark.start, mark.end + (ends == INCLUSIVE)
    if not 0 <= start < end <= len(text if tokens is None else tokens):
        return None
    return (start, end) if tokens is None else (tokens[start][0], tokens[end - 1][1])


def _fits(
    mark: Mark,
    text: str,
    tokens: Sequence[Bounds] | None,
    ends: str,
    equal: Callable[[str, str], bool] = spans.is_equal,
) -> bool:
    """Whether the mention of a mark stands at its bounds."""
    bounds = _find_bounds(mark, text, tokens, ends)
    return bounds is not None and equal(text[slice(*bounds)], mark.mention)


def _refuse(mark: Mark, text: str, tokens: Sequence[Bounds] | None, ends: str) -> NoReturn:
    """Raise InvalidRowError with the place of a mark that is not there."""
    unit, number = ("characters", len(text)) if tokens is None else ("tokens", len(tokens))
    place = f"from {mark.start} to {mark.end} ({ends})"
    bounds = _find_bounds(mark, text, tokens, ends)
    if bounds is None:
        raise InvalidRowError(
            "span_not_in_text", detail=f"{place} is no part of a text of {number} {unit}"
        )
    raise InvalidRowError(
        "span_not_in_text",
        detail=f"{place} stands {show_value(text[slice(*bounds)])}, not {show_value(mark.mention)}",
    )


def _place_mentions(
    marks: Sequence[Mark], text: str, one_place: bool
) -> Iterator[tuple[Bounds, Mark]]:
    """Yield the places of mentions: the first one, and the next one for an equal mark."""
    numbers = Counter((mark.mention, *mark.labels) for mark in marks)
    used: Counter[tuple[str, ...]] = Counter()
    for mark in marks:
        key = (mark.mention, *mark.labels)
        starts = [found.start() for found in re.finditer(re.escape(mark.mention), text)]
        if not mark.mention or len(starts) < numbers[key]:
            raise InvalidRowError(
                "span_not_in_text", detail=f"the text has no {show_value(mark.mention)}"
            )
        if one_place and len(starts) > numbers[key]:
            raise InvalidRowError(
                "span_in_several_places", detail=f"{show_value(mark.mention)} has no bounds"
            )
        start = starts[used[key]]
        used[key] += 1
        yield (start, start + len(mark.mention)), mark
