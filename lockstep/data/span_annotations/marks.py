"""Marks: the labelled parts of a text as files write them, before they are found in the text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields
from lockstep.data.sources import Source

START_KEYS = (
    "start", "start_idx", "start_offset", "start_char", "start_pos", "start_index", "startOffset",
    "startIndex", "begin", "begin_offset", "char_start", "from", "offset",
)  # fmt: skip
END_KEYS = (
    "end", "end_idx", "end_offset", "end_char", "end_pos", "end_index", "endOffset", "endIndex",
    "stop", "char_end", "to",
)  # fmt: skip
LENGTH_KEYS = ("length", "len")
PAIR_KEYS = (
    "span", "offsets", "pos", "position", "bounds", "indices", "char_span", "entity_index",
    "location", "range",
)  # fmt: skip
"""Keys of [start, end], of a list of one such pair, or of an object with start and end."""
LABEL_KEYS = (
    "label", "labels", "type", "tag", "entity_type", "class", "category", "slot_name", "slot",
    "entity_label", "entity_group", "label_type", "entityType", "types", "entity",
)  # fmt: skip
"""Keys of the label; `entity` is the label only if there is no other one (Rasa, Snips)."""
MENTION_KEYS = ("text", "mention", "entity_text", "word", "surface", "entity", "name")
"""Keys of the marked text, by which the bounds are checked."""
LIST_KEYS = ("entities", "spans", "annotations")
"""Keys of an object that may hold the list of spans (spaCy)."""


class Mark(NamedTuple):
    """A labelled part of a text."""

    start: int | None
    """First character or token; None if only the mention is known."""
    end: int | None
    """Last character or token, or the one after it, see `Source.ends`."""
    labels: list[str]
    mention: str = ""
    """The marked text; empty if the file does not repeat it."""


def has_bounds(item: Mapping[str, Any]) -> bool:
    """Whether an object says where it begins."""
    return any(_is_number(item.get(key)) for key in START_KEYS)


def read_marks(value: Any, source: Source) -> list[Mark]:
    """Return the marks in a list or an object; raise InvalidRowError if it holds anything else."""
    if isinstance(value, dict):
        for key in LIST_KEYS:
            if isinstance(value.get(key), list) and not _is_positions(value[key]):
                return read_marks(value[key], source)
        return list(_read_object(value, source))
    if not isinstance(value, list):
        raise InvalidRowError("spans_not_a_list", detail=f"they are {show_value(value)}")
    return [_read_mark(item, source) for item in value]


def _read_object(value: dict[str, Any], source: Source) -> Iterator[Mark]:
    """Yield the marks of an object: columns, one mark, or the marks of each label."""
    starts = _get_first(value, (*START_KEYS, *PAIR_KEYS))
    labels = _get_first(value, LABEL_KEYS)
    if isinstance(starts, list) and isinstance(labels, list):
        lists = {name: items for name, items in value.items() if isinstance(items, list)}
        if len({len(items) for items in lists.values()}) != 1:
            raise InvalidRowError(
                "spans_of_different_lengths",
                detail=", ".join(f"{name} has {len(items)}" for name, items in lists.items()),
            )
        for items in zip(*lists.values(), strict=True):
            yield _read_mark(dict(zip(lists, items, strict=True)), source)
    elif isinstance(starts, int) and labels is not None:
        yield _read_mark(value, source)
    else:
        for label, places in value.items():
            yield from _read_places(places, [row_fields.read_label(label, source)])


def _read_places(places: Any, labels: list[str], mention: str = "") -> Iterator[Mark]:
    """Yield the marks of a label: {mention: [[start, end]]} as in CLUENER, positions or texts."""
    if isinstance(places, dict) and not mention and not has_bounds(places):
        for text, positions in places.items():
            yield from _read_places(positions, labels, text)
    elif isinstance(places, dict):
        yield Mark(*_read_bounds(places), labels, mention or _read_mention(places, ""))
    elif isinstance(places, str):
        yield Mark(None, None, labels, places)
    elif _is_positions([places]):
        yield Mark(places[0], places[1], labels, mention)
    elif isinstance(places, list):
        for place in places:
            yield from _read_places(place, labels, mention)
    elif places is not None:
        raise InvalidRowError("span_without_bounds", detail=show_value(places))


def _read_mark(item: Any, source: Source) -> Mark:
    if isinstance(item, list):
        return _read_list(item, source)
    if not isinstance(item, dict):
        raise InvalidRowError("span_not_an_object", detail=f"a span is {show_value(item)}")
    key = next((key for key in LABEL_KEYS if item.get(key) not in (None, "", [])), "")
    if not key:
        raise InvalidRowError("span_without_label", detail=show_value(item))
    labels = item[key] if isinstance(item[key], list) else [item[key]]
    start, end = _read_bounds(item)
    mention = _read_mention(item, key)
    if start is None and not mention:
        raise InvalidRowError("span_without_bounds", detail=show_value(item))
    return Mark(start, end, [row_fields.read_label(label, source) for label in labels], mention)


def _read_list(items: list[Any], source: Source) -> Mark:
    """Read [start, end, label], perhaps with the mention, or brat's [id, label, [[start, end]]]."""
    texts = [item for item in items if isinstance(item, str)]
    numbers = [item for item in items if _is_number(item)]
    pairs = [item for item in items if isinstance(item, list)]
    if len(pairs) == 1 and not numbers:
        start, end = _read_pair(pairs[0])
        return Mark(start, end, [row_fields.read_label(label, source) for label in texts[-1:]])
    if len(numbers) == 3 and not texts:  # [start, end, code of the label]
        texts = [str(numbers.pop())]
    if len(numbers) != 2:
        raise InvalidRowError("span_without_bounds", detail=show_value(items))
    if not 1 <= len(texts) <= 2:
        raise InvalidRowError("span_without_label", detail=show_value(items))
    if items[0] in texts:  # [mention, start, end, label]
        texts.reverse()
    mention = texts[1] if len(texts) > 1 else ""
    return Mark(numbers[0], numbers[1], [row_fields.read_label(texts[0], source)], mention)


def _read_bounds(item: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return start and end; (None, None) if the object has neither."""
    pair = _get_first(item, PAIR_KEYS)
    if isinstance(pair, list):
        return _read_pair(pair)
    if isinstance(pair, dict):
        return _read_bounds(pair)
    start, end, length = (_get_first(item, keys) for keys in (START_KEYS, END_KEYS, LENGTH_KEYS))
    if start is None and end is None:
        return None, None
    try:
        first = int(start)
        return first, int(end) if end is not None else first + int(length)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRowError("span_without_bounds", detail=show_value(item)) from None


def _read_pair(pair: list[Any]) -> tuple[int, int]:
    """Return the numbers of [start, end] or [[start, end]]."""
    if len(pair) > 1 and _is_positions(pair):
        raise InvalidRowError("discontinuous_span", detail=f"it has the parts {show_value(pair)}")
    pair = pair[0] if len(pair) == 1 and isinstance(pair[0], list) else pair
    if not _is_positions([pair]):
        raise InvalidRowError("span_without_bounds", detail=show_value(pair))
    return pair[0], pair[1]


def _read_mention(item: Mapping[str, Any], label_key: str) -> str:
    for key in MENTION_KEYS:
        value = item.get(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if key != label_key and isinstance(value, str) and value:
            return value
    return ""


def _get_first(item: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positions(value: Any) -> bool:
    """Whether a value is a list of [start, end]."""
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in value
    )
