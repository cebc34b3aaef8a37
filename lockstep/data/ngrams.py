"""Hashed n-grams of texts, used to find near-duplicates and contamination.

Every function works on many texts at once, which are stored end to end in flat arrays.
"""

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
"""Hashes of n-grams."""
Offsets = npt.NDArray[np.int64]
"""Start of each text in a flat array, followed by the end of the last text: (texts + 1,)."""

_ODD = 0x9E3779B97F4A7C15  # 2^64 / golden ratio
_INDEX_BITS = np.uint64(13)
_HASH_BITS = np.uint64(64 - 13)
_IGNORED, _LETTER, _DIGIT, _WORD_ALONE = 0, 1, 2, 3  # classes of characters


@dataclass(frozen=True, slots=True)
class NormalizedTexts:
    """Normalized texts, end to end."""

    codes: npt.NDArray[np.uint32]
    """Code points of letters and digits; every digit is `0`."""
    starts_word: npt.NDArray[np.bool_]
    """Whether a character is the first one of a word."""
    offsets: Offsets


@dataclass(frozen=True, slots=True)
class NGrams:
    """Hashes of the n-grams of many texts, end to end."""

    hashes: Hashes
    offsets: Offsets

    def select(self, indices: npt.NDArray[np.int64]) -> "NGrams":
        """Return the n-grams of the texts at these indices."""
        counts = np.diff(self.offsets)[indices]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        begins = np.repeat(self.offsets[indices] - offsets[:-1], counts)
        return NGrams(self.hashes[begins + np.arange(offsets[-1])], offsets)


def normalize_texts(texts: Sequence[str]) -> NormalizedTexts:
    """Remove case, width, punctuation, blanks and the values of digits.

    A word is a run of letters and digits; a Chinese or Japanese character is a word by itself.
    """
    folded = [
        text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
        for text in texts
    ]
    raw = np.frombuffer("".join(folded).encode("utf-32-le"), dtype=np.uint32)
    ends = np.cumsum([0, *map(len, folded)])
    classes = _character_classes()[raw]
    is_in_word = classes != _IGNORED
    starts_word = np.ones(len(raw), dtype=bool)
    starts_word[1:] = (
        ~is_in_word[:-1] | (classes[1:] == _WORD_ALONE) | (classes[:-1] == _WORD_ALONE)
    )
    starts_word[ends[:-1][ends[:-1] < len(raw)]] = True
    codes = np.where(classes == _DIGIT, np.uint32(ord("0")), raw)[is_in_word]
    new_positions = np.concatenate([[0], np.cumsum(is_in_word)])
    return NormalizedTexts(codes, starts_word[is_in_word], new_positions[ends])


def make_keys(texts: NormalizedTexts) -> list[bytes]:
    """Return a key for each text; keys are equal if and only if the normalized texts are."""
    bounds = zip(texts.offsets[:-1].tolist(), texts.offsets[1:].tolist(), strict=True)
    return [texts.codes[begin:end].tobytes() for begin, end in bounds]


def hash_character_ngrams(texts: NormalizedTexts, n: int) -> NGrams:
    """Return the n-grams of characters; a text shorter than n counts as one n-gram."""
    return _hash_runs(_mix_bits(texts.codes.astype(np.uint64)), texts.offsets, n)


def hash_word_ngrams(texts: NormalizedTexts, n: int) -> NGrams:
    """Return the n-grams of words; a text with fewer than n words has none. n = 0 gives none."""
    starts = np.flatnonzero(texts.starts_word)
    offsets = np.searchsorted(starts, texts.offsets)
    if not n or not len(starts):
        return NGrams(np.empty(0, np.uint64), np.zeros_like(offsets))
    lengths = np.diff(np.append(starts, len(texts.codes)))
    position = np.arange(len(texts.codes)) - np.repeat(starts, lengths)
    weighted = _mix_bits(
        texts.codes.astype(np.uint64) + (position.astype(np.uint64) << np.uint64(32))
    )
    words = np.add.reduceat(weighted, starts)
    return _hash_runs(words, offsets, n, keep_short=False)


def deduplicate_ngrams(ngrams: NGrams) -> NGrams:
    """Return each text's n-grams once, sorted, with only the first 51 bits of each hash.

    One sort of numbers that begin with the text's index is ten times faster than a sort by two
    keys, and 51 bits are enough to tell the n-grams of one text apart.
    """
    keys = np.sort(_prefix_with_index(ngrams))
    unique = keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
    counts = np.bincount((unique >> _HASH_BITS).astype(np.int64), minlength=len(ngrams.offsets) - 1)
    return NGrams(unique << _INDEX_BITS, np.concatenate([[0], np.cumsum(counts)]))


def count_shared(first: NGrams, second: NGrams) -> npt.NDArray[np.int64]:
    """Return how many unique n-grams text i of `first` shares with text i of `second`: (texts,)."""
    keys = np.sort(np.concatenate([_prefix_with_index(first), _prefix_with_index(second)]))
    shared = keys[1:][keys[1:] == keys[:-1]]
    return np.bincount((shared >> _HASH_BITS).astype(np.int64), minlength=len(first.offsets) - 1)


def concatenate_ngrams(parts: Sequence[NGrams]) -> NGrams:
    """Return the n-grams of the texts of all parts, in order."""
    counts = np.concatenate([np.empty(0, np.int64), *(np.diff(part.offsets) for part in parts)])
    hashes = np.concatenate([np.empty(0, np.uint64), *(part.hashes for part in parts)])
    return NGrams(hashes, np.concatenate([[0], np.cumsum(counts)]))


def _prefix_with_index(ngrams: NGrams) -> Hashes:
    """Return the text's index (13 bits) followed by the first 51 bits of each hash."""
    counts = np.diff(ngrams.offsets)
    if len(counts) > 1 << _INDEX_BITS:
        raise ValueError(f"{len(counts)} texts at once; at most {1 << _INDEX_BITS} are possible")
    index = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
    return (index << _HASH_BITS) | (ngrams.hashes >> _INDEX_BITS)


def _hash_runs(units: Hashes, offsets: Offsets, n: int, keep_short: bool = True) -> NGrams:
    """Hash runs of n units: sum unit k times the k-th power of an odd number over all k.

    A text with fewer than n units gives one hash of all of them if `keep_short`, otherwise none.
    """
    lengths = np.diff(offsets)
    counts = np.maximum(lengths - n + 1, (lengths > 0) if keep_short else 0)
    powers = np.array([pow(_ODD, k + 1, 2**64) for k in range(n)], np.uint64)
    rolling = np.zeros(len(units), np.uint64)
    for k in range(min(n, len(units))):
        rolling[: len(units) - k] += units[k:] * powers[k]
    ends = np.concatenate([[0], np.cumsum(counts)])
    begins = np.repeat(offsets[:-1] - ends[:-1], counts) + np.arange(ends[-1])
    hashes = rolling[begins]
    short = np.flatnonzero((lengths > 0) & (lengths < n))
    if keep_short and len(short):
        position = np.arange(len(units)) - np.repeat(offsets[:-1], lengths)
        weighted = np.append(units * powers[np.minimum(position, n - 1)], np.uint64(0))
        bounds = np.stack([offsets[short], offsets[short + 1]], 1).ravel()
        hashes[ends[short]] = np.add.reduceat(weighted, bounds)[::2]
    return NGrams(_mix_bits(hashes), ends)


def _mix_bits(values: Hashes) -> Hashes:
    """Scramble 64-bit numbers reversibly: each input bit affects each output bit (splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@cache
def _character_classes() -> npt.NDArray[np.uint8]:
    """Return the class of each code point: (1114112,)."""
    classes = np.zeros(sys.maxunicode + 1, np.uint8)
    for code in (*range(0x40000), *range(0xE0000, 0xE0200)):  # no others are assigned
        category = unicodedata.category(chr(code))
        if category[0] in "LM":
            classes[code] = _LETTER
        elif category[0] == "N":
            classes[code] = _DIGIT if category == "Nd" else _LETTER
    for first, last in ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3FFFF)):
        block = classes[first : last + 1]
        block[block == _LETTER] = _WORD_ALONE
    return classes
