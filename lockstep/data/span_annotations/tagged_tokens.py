"""Tokens and their tags (IO, BIO, IOB2, BMES, BIOES, BILOU): the text, and the spans in tokens."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lockstep.data.language import HAN, KANA
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields
from lockstep.data.sources import Source

Bounds = tuple[int, int]
"""Start and end in characters, or in tokens; the end is exclusive."""

OUTSIDE = "O"
"""Tag of a token in no span."""

_TAG = re.compile(r"([BIMESLU])[-_](.+)", re.DOTALL)
_BEGIN, _END = frozenset("BSU"), frozenset("ESLU")
"""Prefixes of the first and of the last token of a span; S and U mark a span of one token."""
_SPACELESS = re.compile(f"[{HAN}{KANA}]")
_WORD = re.compile(r"\w{2,}", re.ASCII)


def is_tag(text: str) -> bool:
    """Whether a text is O, or a tag with a prefix such as B-."""
    return text == OUTSIDE or _TAG.fullmatch(text) is not None


def find_tagged(tags: Sequence[Any], source: Source) -> list[tuple[Bounds, str]]:
    """Return the spans in tokens, each with its type.

    As in conlleval and seqeval, a span begins at B, at a type that differs from the one before, and
    after O or the end of a span; a tag without prefix continues a span of its type.
    """
    found: list[tuple[Bounds, str]] = []
    previous, is_open = "", False
    for index, tag in enumerate(tags):
        prefix, name = _split_tag(_name_tag(tag, source), source)
        if name and is_open and name == previous and prefix not in _BEGIN:
            (start, _), _ = found[-1]
            found[-1] = ((start, index + 1), name)
        elif name:
            found.append(((index, index + 1), name))
        previous, is_open = name, bool(name) and prefix not in _END
    return found


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[Bounds]]:
    """Return the text of tokens, and the bounds of each token in it.

    Tokens are joined by blanks; if more than half of them are Chinese or Japanese, by nothing, but
    for two Latin words.
    """
    is_spaceless = 2 * sum(map(bool, map(_SPACELESS.search, tokens))) > len(tokens)
    text, bounds, before = "", list[Bounds](), ""
    for token in tokens:
        is_word = bool(_WORD.fullmatch(before) and _WORD.fullmatch(token))
        text += " " if text and (is_word or not is_spaceless) else ""
        bounds.append((len(text), len(text) + len(token)))
        text, before = text + token, token
    return text, bounds


def locate_tokens(text: str, tokens: Sequence[str]) -> list[Bounds]:
    """Return the bounds of each token in a text; raise InvalidRowError if one is not there."""
    bounds, position = list[Bounds](), 0
    for token in tokens:
        start = text.find(token, position)
        if start < 0:
            raise InvalidRowError(
                "tokens_not_in_text", detail=f"{show_value(token)} is not in the rest of the text"
            )
        position = start + len(token)
        bounds.append((start, position))
    return bounds


def split_text(text: str, number: int) -> list[Bounds]:
    """Return the bounds of the words of a text; of its characters, if there are so many tags."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    if len(words) != number == len(text):
        return [(index, index + 1) for index in range(number)]
    return words


def check_numbers(bounds: Sequence[Bounds], tags: Sequence[Any]) -> None:
    """Raise InvalidRowError unless each token has a tag."""
    if len(bounds) != len(tags):
        raise InvalidRowError(
            "tags_and_tokens_differ", detail=f"{len(tags)} tags, {len(bounds)} tokens"
        )


def read_tokens(value: Any) -> list[str] | None:
    """Return tokens, also those in a JSON text or between blanks; None if there are no texts."""
    if isinstance(value, str):
        is_json = value.lstrip().startswith("[")
        value = row_fields.parse_json(value, "tokens") if is_json else value.split()
    if not isinstance(value, list) or not value or not all(isinstance(t, str) for t in value):
        return None
    return list(_check_tokens(value))


def _check_tokens(tokens: Sequence[str]) -> Iterator[str]:
    for token in tokens:
        yield row_fields.check_characters(token)


def _name_tag(tag: Any, source: Source) -> str:
    """Return the name of a tag, which may be a number."""
    if isinstance(tag, str) and not tag.strip().isdecimal():
        return row_fields.check_characters(tag.strip())
    if not source.label_names:
        raise InvalidRowError(
            "tags_without_names", detail="tags are numbers: set label_names, e.g. [O, B-PER, I-PER]"
        )
    return row_fields.read_label(tag, source)


def _split_tag(tag: str, source: Source) -> tuple[str, str]:
    """Return the prefix of a tag and its type, which label_names may rename; both may be empty."""
    if tag in (OUTSIDE, ""):
        return "", ""
    match = _TAG.fullmatch(tag)
    prefix, name = match.groups() if match else ("", tag)
    return prefix, source.label_names.get(name, name)
