"""Typing noise: wrong keys, homophones, full-width characters and wrong case."""

import random
import re
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

import regex

from lockstep.augmentation import words
from lockstep.segmentation import EXTEND

_KEYBOARD_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LETTER = regex.compile(rf"[A-Za-z](?!{EXTEND})")
_HAN = re.compile("[\u4e00-\u9fff]")
_HALF_WIDTH = regex.compile(rf"[A-Za-z0-9,!?:;](?!{EXTEND})")
_FULL_WIDTH_OFFSET = 0xFEE0

_HOMOPHONES = (
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
"""Groups of English words that writers often confuse."""


def add_keyboard_typos(
    text: str, rate: float, rng: random.Random, protected: Collection[str]
) -> str:
    """Replace a share of the letters by a neighbour on a QWERTY keyboard."""
    return _change_characters(text, rate, rng, protected, _LETTER, _draw_neighbour)


def replace_homophones(
    text: str, rate: float, rng: random.Random, protected: Collection[str]
) -> str:
    """Replace a share of the English words and Chinese characters by a homophone."""
    units = [
        unit
        for start, end in words.find_words(text, protected)
        for unit in (
            [(i, i + 1) for i in range(start, end)] if _HAN.match(text[start]) else [(start, end)]
        )
    ]
    spans = [unit for unit in units if _find_homophones(text[slice(*unit)].casefold())]
    return words.replace_words(text, rate, rng, spans, _find_homophones)


def widen_characters(text: str, rate: float, rng: random.Random, protected: Collection[str]) -> str:
    """Make a share of the letters, digits and punctuation full-width, as Chinese keyboards do."""
    return _change_characters(
        text, rate, rng, protected, _HALF_WIDTH, lambda c, _: chr(ord(c) + _FULL_WIDTH_OFFSET)
    )


def swap_case(text: str, rate: float, rng: random.Random, protected: Collection[str]) -> str:
    """Change a share of the letters from upper to lower case or the reverse."""
    return _change_characters(text, rate, rng, protected, _LETTER, lambda c, _: c.swapcase())


def _change_characters(
    text: str,
    rate: float,
    rng: random.Random,
    protected: Collection[str],
    pattern: Any,
    change: Callable[[str, random.Random], str],
) -> str:
    """Change a share of the characters that match, at least one, outside the protected texts."""
    spans = words.exclude_overlapping(
        [m.span() for m in pattern.finditer(text)], words.find_texts(text, protected)
    )
    if not spans:
        return text
    characters = list(text)
    for position, _ in rng.sample(spans, max(1, round(rate * len(spans)))):
        characters[position] = change(characters[position], rng)
    return "".join(characters)


def _draw_neighbour(letter: str, rng: random.Random) -> str:
    neighbour = rng.choice(_list_neighbours()[letter.lower()])
    return neighbour.upper() if letter.isupper() else neighbour


@cache
def _list_neighbours() -> dict[str, str]:
    """Return the keys that touch each key; each row is shifted by half a key."""
    positions = {
        key: (row, column + row / 2)
        for row, keys in enumerate(_KEYBOARD_ROWS)
        for column, key in enumerate(keys)
    }
    return {
        key: "".join(
            other
            for other, (other_row, other_column) in positions.items()
            if other != key and abs(other_row - row) <= 1 and abs(other_column - column) <= 1
        )
        for key, (row, column) in positions.items()
    }


def _find_homophones(word: str) -> list[str]:
    """Return the other words, or Chinese characters, with the same sound."""
    if _HAN.fullmatch(word):
        return [other for other in _group_by_sound().get(_read_sound(word), []) if other != word]
    groups = [group.split() for group in _HOMOPHONES]
    return [other for group in groups if word in group for other in group if other != word]


@cache
def _group_by_sound() -> dict[str, list[str]]:
    """Group the 3,755 commonest Chinese characters (level 1 of GB 2312) by sound."""
    characters = [
        bytes((row, cell)).decode("gb2312")
        for row in range(0xB0, 0xD8)
        for cell in range(0xA1, 0xFF)
        if (row, cell) < (0xD7, 0xFA)
    ]
    groups: dict[str, list[str]] = {}
    for character in characters:
        groups.setdefault(_read_sound(character), []).append(character)
    return groups


@cache
def _read_sound(character: str) -> str:
    """Return the first reading of a Chinese character in pinyin with its tone."""
    from pypinyin import Style, lazy_pinyin

    return lazy_pinyin(character, style=Style.TONE3)[0]
