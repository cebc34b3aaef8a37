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
_NUMBER = np.uint64(13)
_BITS = np.uint64(64 - 13)
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

    def of(self, texts: npt.NDArray[np.int64]) -> "Grams":
        """Those of some of the texts, by their places."""
        counts = np.diff(self.offsets)[texts]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        begins = np.repeat(self.offsets[texts] - offsets[:-1], counts)
        return Grams(self.hashes[begins + np.arange(offsets[-1])], offsets)


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


def spelled(texts: Texts) -> list[bytes]:
    """The normalized texts, as keys: equal where they are spelled alike."""
    bounds = zip(texts.offsets[:-1].tolist(), texts.offsets[1:].tolist(), strict=True)
    return [texts.codes[begin:end].tobytes() for begin, end in bounds]


def character_grams(texts: Texts, n: int) -> Grams:
    """Every run of n characters; of a shorter text, the whole of it."""
    return _grams(_mixed(texts.codes.astype(np.uint64)), texts.offsets, n)


def word_grams(texts: Texts, n: int) -> Grams:
    """Every run of n words; none of a text that has fewer, and none where n is 0."""
    starts = np.flatnonzero(texts.starts_word)
    offsets = np.searchsorted(starts, texts.offsets)
    if not n or not len(starts):
        return Grams(np.empty(0, np.uint64), np.zeros_like(offsets))
    lengths = np.diff(np.append(starts, len(texts.codes)))
    place = np.arange(len(texts.codes)) - np.repeat(starts, lengths)
    weighted = _mixed(texts.codes.astype(np.uint64) + (place.astype(np.uint64) << np.uint64(32)))
    words = np.add.reduceat(weighted, starts)
    return _grams(words, offsets, n, whole=False)


def sets(grams: Grams) -> Grams:
    """Each text's n-grams once, sorted; of a hash 51 bits count, which is enough within a text.

    A sort of numbers that begin with the text's takes a tenth of the time of one by two keys.
    """
    keys = np.sort(_numbered(grams))
    once = keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
    counts = np.bincount((once >> _BITS).astype(np.int64), minlength=len(grams.offsets) - 1)
    return Grams(once << _NUMBER, np.concatenate([[0], np.cumsum(counts)]))


def shared(one: Grams, other: Grams) -> npt.NDArray[np.int64]:
    """How many elements the first sets have in common, how many the second ones, …: (texts,)."""
    keys = np.sort(np.concatenate([_numbered(one), _numbered(other)]))
    twice = keys[1:][keys[1:] == keys[:-1]]
    return np.bincount((twice >> _BITS).astype(np.int64), minlength=len(one.offsets) - 1)


def _numbered(grams: Grams) -> Hashes:
    """The first 51 bits of each hash, behind its text's number: at most 8,192 texts."""
    counts = np.diff(grams.offsets)
    if len(counts) > 1 << _NUMBER:
        raise ValueError(f"{len(counts)} texts at once")
    number = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
    return (number << _BITS) | (grams.hashes >> _NUMBER)


def joined(parts: Sequence[Grams]) -> Grams:
    """The n-grams of the texts of all parts, in their order."""
    counts = np.concatenate([np.empty(0, np.int64), *(np.diff(part.offsets) for part in parts)])
    hashes = np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)])
    return Grams(hashes, np.concatenate([[0], np.cumsum(counts)]))


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
    for code in (*range(0x40000), *range(0xE0000, 0xE0200)):  # no others are in use or reserved
        category = unicodedata.category(chr(code))
        if category[0] in "LM":
            kinds[code] = _LETTER
        elif category[0] == "N":
            kinds[code] = _DIGIT if category == "Nd" else _LETTER
    for first, last in ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3FFFF)):
        part = kinds[first : last + 1]
        part[part == _LETTER] = _WORD_ALONE
    return kinds
