"""Texts as sets of hashed n-grams: what near-duplicates and contamination are found by.

Everything works on many texts at once, as one array of characters.
"""

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]
"""Where each text's part begins in a flat array, and where the last one ends: (texts + 1,)."""

_ODD = 0x9E3779B97F4A7C15  # 2^64 / the golden ratio
_NOTHING, _LETTER, _DIGIT, _WORD_ALONE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Texts:
    """Normalized texts, end to end."""

    codes: npt.NDArray[np.uint32]
    """Code points of letters and digits; a digit is `0`."""
    starts_word: npt.NDArray[np.bool_]
    offsets: Offsets


@dataclass(frozen=True, slots=True)
class Grams:
    """Hashes of n-grams, text after text."""

    hashes: Hashes
    offsets: Offsets


def normalize(texts: Sequence[str]) -> Texts:
    """Without case, width, punctuation, blanks and the values of digits.

    A word is a run of letters and digits; a Chinese or Japanese character is a word of its own.
    """
    folded = [
        text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
        for text in texts
    ]
    raw = np.frombuffer("".join(folded).encode("utf-32-le"), dtype=np.uint32)
    ends = np.cumsum([0, *map(len, folded)])
    kinds = _kinds()[raw]
    kept = kinds != _NOTHING
    after = np.ones(len(raw), dtype=bool)
    after[1:] = ~kept[:-1] | (kinds[1:] == _WORD_ALONE) | (kinds[:-1] == _WORD_ALONE)
    after[ends[:-1][ends[:-1] < len(raw)]] = True
    codes = np.where(kinds == _DIGIT, np.uint32(ord("0")), raw)[kept]
    places = np.concatenate([[0], np.cumsum(kept)])
    return Texts(codes, after[kept], places[ends])


def character_grams(texts: Texts, n: int) -> Grams:
    """Every run of n characters; of a shorter text, the whole of it."""
    return _grams(_mixed(texts.codes.astype(np.uint64)), texts.offsets, n)


def word_grams(texts: Texts, n: int) -> Grams:
    """Every run of n words; none of a text that has fewer."""
    starts = np.flatnonzero(texts.starts_word)
    offsets = np.searchsorted(starts, texts.offsets)
    if not len(starts):
        return Grams(np.empty(0, np.uint64), offsets)
    place = np.arange(len(texts.codes)) - np.repeat(starts, np.diff([*starts, len(texts.codes)]))
    weighted = _mixed(texts.codes.astype(np.uint64) + (place.astype(np.uint64) << np.uint64(32)))
    words = np.add.reduceat(weighted, starts)
    return _grams(words, offsets, n, whole=False)


def _grams(units: Hashes, offsets: Offsets, n: int, whole: bool = True) -> Grams:
    """Hashes of runs of n units: the sum of unit k times the k-th power of an odd number."""
    lengths = np.diff(offsets)
    counts = np.maximum(lengths - n + 1, (lengths > 0) if whole else 0)
    powers = np.array([pow(_ODD, k + 1, 2**64) for k in range(n)], np.uint64)
    rolled = np.zeros(len(units), np.uint64)
    for k in range(min(n, len(units))):
        rolled[: len(units) - k] += units[k:] * powers[k]
    ends = np.concatenate([[0], np.cumsum(counts)])
    begins = np.repeat(offsets[:-1] - ends[:-1], counts) + np.arange(ends[-1])
    hashes = rolled[begins]
    short = np.flatnonzero((lengths > 0) & (lengths < n))
    if whole and len(short):
        place = np.arange(len(units)) - np.repeat(offsets[:-1], lengths)
        weighted = np.append(units * powers[np.minimum(place, n - 1)], np.uint64(0))
        bounds = np.stack([offsets[short], offsets[short + 1]], 1).ravel()
        hashes[ends[short]] = np.add.reduceat(weighted, bounds)[::2]
    return Grams(_mixed(hashes), ends)


def _mixed(values: Hashes) -> Hashes:
    """A bijection of 64 bits in which each input bit reaches each output bit (splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """What each code point is: (1114112,)."""
    kinds = np.zeros(sys.maxunicode + 1, np.uint8)
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category[0] in "LM":
            kinds[code] = _LETTER
        elif category[0] == "N":
            kinds[code] = _DIGIT if category == "Nd" else _LETTER
    for first, last in ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3FFFF)):
        part = kinds[first : last + 1]
        part[part == _LETTER] = _WORD_ALONE
    return kinds
