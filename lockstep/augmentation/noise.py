"""Slips of people who type: wrong keys, words that sound alike, width and case."""

import random
import re
from collections.abc import Callable, Collection
from functools import cache

from lockstep.augmentation import words

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LETTER = re.compile("[A-Za-z]")
_HAN = re.compile("[\u4e00-\u9fff]")
_NARROW = re.compile("[A-Za-z0-9,!?:;]")

_SOUND_ALIKE = (
    "their there they're",
    "your you're",
    "its it's",
    "to too two",
    "then than",
    "were where we're",
    "no know",
    "now know",
    "buy by bye",
    "hear here",
    "week weak",
    "piece peace",
    "right write",
    "wait weight",
    "sent cent",
    "sale sail",
    "whole hole",
    "new knew",
    "for four",
    "mail male",
    "brake break",
    "lose loose",
    "quite quiet",
    "accept except",
    "affect effect",
)
"""English words that are often mistaken for each other."""


def keyboard(text: str, rate: float, draw: random.Random, protected: Collection[str]) -> str:
    """Letters give way to a neighbour on a QWERTY keyboard."""
    return _letters(text, rate, draw, protected, _LETTER, _neighbour)


def homophones(text: str, rate: float, draw: random.Random, protected: Collection[str]) -> str:
    """English words and Chinese characters give way to one that sounds the same."""
    places = [
        span
        for a, b in words.spans(text, protected)
        for span in ([(a, b)] if not _HAN.match(text[a]) else [(i, i + 1) for i in range(a, b)])
        if _same_sound(text[slice(*span)].casefold())
    ]
    return words.replace(text, rate, draw, places, _same_sound)


def width(text: str, rate: float, draw: random.Random, protected: Collection[str]) -> str:
    """Letters, digits and marks become full-width, as Chinese input methods write them."""
    return _letters(text, rate, draw, protected, _NARROW, lambda c, _: chr(ord(c) + 0xFEE0))


def case(text: str, rate: float, draw: random.Random, protected: Collection[str]) -> str:
    """Letters change between upper and lower case."""
    return _letters(text, rate, draw, protected, _LETTER, lambda c, _: c.swapcase())


def _letters(
    text: str,
    rate: float,
    draw: random.Random,
    protected: Collection[str],
    which: re.Pattern[str],
    change: Callable[[str, random.Random], str],
) -> str:
    places = words.apart([m.span() for m in which.finditer(text)], words.find(text, protected))
    if not places:
        return text
    letters = list(text)
    for place, _ in draw.sample(places, max(1, round(rate * len(places)))):
        letters[place] = change(letters[place], draw)
    return "".join(letters)


def _neighbour(letter: str, draw: random.Random) -> str:
    new = draw.choice(_neighbours()[letter.lower()])
    return new.upper() if letter.isupper() else new


@cache
def _neighbours() -> dict[str, str]:
    """The keys that touch each key: those beside it, and those above and below, half a key off."""
    places = {
        key: (row, column + row / 2)
        for row, keys in enumerate(_ROWS)
        for column, key in enumerate(keys)
    }
    return {
        key: "".join(
            other
            for other, (r, c) in places.items()
            if other != key and abs(r - row) <= 1 and abs(c - column) <= 1
        )
        for key, (row, column) in places.items()
    }


def _same_sound(word: str) -> list[str]:
    if _HAN.fullmatch(word):
        return [other for other in _by_sound().get(_sound(word), []) if other != word]
    groups = [group.split() for group in _SOUND_ALIKE]
    return [other for group in groups if word in group for other in group if other != word]


@cache
def _by_sound() -> dict[str, list[str]]:
    """The 3,755 commonest characters (level 1 of GB 2312), by their first reading with its tone."""
    characters = [
        bytes((row, cell)).decode("gb2312")
        for row in range(0xB0, 0xD8)
        for cell in range(0xA1, 0xFF)
        if (row, cell) < (0xD7, 0xFA)
    ]
    found: dict[str, list[str]] = {}
    for character in characters:
        found.setdefault(_sound(character), []).append(character)
    return found


@cache
def _sound(character: str) -> str:
    from pypinyin import Style, lazy_pinyin

    return lazy_pinyin(character, style=Style.TONE3)[0]
