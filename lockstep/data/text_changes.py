"""Show how a text was changed: what was deleted and inserted, with invisible characters named."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator

import click

MAX_CONTEXT = 40
"""Maximum number of unchanged characters that are shown on each side of a change."""
MAX_COMPARED = 4000
"""Maximum number of characters of each text that are compared, from the first change onwards."""

_WORD = r"[A-Za-z0-9\u0300-\u036f]"
"""A Latin letter, a digit or an accent that is a character of its own."""
_TOKEN = re.compile(rf"{_WORD}+|.", re.DOTALL)
"""A word of such characters, or any other character."""
_LAST_WORD = re.compile(rf"{_WORD}*\Z")

_NAMES = {"\n": "↵", "\t": "⇥", "\r": "⟨CR⟩", " ": "·"}
"""Signs of changed white space."""

Mark = Callable[[str], str]
"""Function that marks a part of a text."""


def show_change(before: str, after: str, *, coloured: bool) -> str:
    """Return the text with its changes: deleted parts as [-…-], inserted ones as {+…+}.

    If `coloured`, they are red and green instead. Long unchanged parts are shortened.
    """
    delete, insert = _COLOURS if coloured else _BRACKETS
    start = _count_common(before, after)
    rest = max(len(before), len(after)) - start - MAX_COMPARED
    old = _TOKEN.findall(before[start : start + MAX_COMPARED])
    new = _TOKEN.findall(after[start : start + MAX_COMPARED])
    parts = [_shorten(before[:start], is_first=True)]
    for kind, deleted, inserted in _compare(old, new):
        if kind == "equal":
            parts.append(_shorten(deleted))
        else:
            parts += [delete(name_characters(deleted)), insert(name_characters(inserted))]
    text = "".join(parts)
    return f"{text}… (up to {rest} more characters are not compared)" if rest > 0 else text


def name_characters(text: str) -> str:
    """Return a changed part of a text with a sign or code point for what is not to be seen."""
    return "".join(_name_character(character, text) for character in text)


def _name_character(character: str, text: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    category = unicodedata.category(character)
    is_decomposed = category == "Mn" and not unicodedata.is_normalized("NFC", text)
    if category[0] in "CZ" or is_decomposed:
        return f"⟨U+{ord(character):04X}⟩"
    return character


def _compare(old: list[str], new: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, deleted or equal text, inserted text) for each part."""
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        yield kind, "".join(old[start:end]), "".join(new[new_start:new_end])


def _count_common(before: str, after: str) -> int:
    """Return the number of characters before the first word that is changed."""
    length = min(len(before), len(after))
    count = next((i for i in range(length) if before[i] != after[i]), length)
    word = _LAST_WORD.search(before, max(0, count - MAX_CONTEXT), count)
    return word.start() if word else count


def _shorten(text: str, *, is_first: bool = False) -> str:
    """Return the ends of an unchanged part that touch a change."""
    if is_first:
        return text if len(text) <= MAX_CONTEXT else f"…{text[-MAX_CONTEXT:]}"
    if len(text) <= 2 * MAX_CONTEXT:
        return text
    return f"{text[:MAX_CONTEXT]}…{text[-MAX_CONTEXT:]}"


def _bracket(opening: str, closing: str) -> Mark:
    return lambda text: f"{opening}{text}{closing}" if text else ""


def _colour(name: str) -> Mark:
    return lambda text: click.style(text, fg=name, strikethrough=name == "red") if text else ""


_BRACKETS = _bracket("[-", "-]"), _bracket("{+", "+}")
_COLOURS = _colour("red"), _colour("green")
