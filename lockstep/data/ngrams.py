"""Hashed n-grams of texts, used to find near-duplicates and contamination.

Every function works on many texts at once, which are stored end to end in flat arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lockstep.data.normalized_texts import Hashes, NormalizedTexts, Offsets, mix_bits

_ODD = 0x9E3779B97F4A7C15  # 2^64 / golden ratio
_INDEX_BITS = np.uint64(13)
_HASH_BITS = np.uint64(64 - 13)


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


def hash_character_ngrams(texts: NormalizedTexts, n: int) -> NGrams:
    """Return the n-grams of characters; a text shorter than n counts as one n-gram."""
    return _hash_runs(mix_bits(texts.codes.astype(np.uint64)), texts.offsets, n)


def hash_unit_ngrams(texts: NormalizedTexts, n: int) -> NGrams:
    """Return the n-grams of units; a text with fewer than n units has none. n = 0 gives none.

    A unit is a word, or one character of a script without spaces between words.
    """
    starts = np.flatnonzero(texts.starts_word)
    offsets = np.searchsorted(starts, texts.offsets)
    if not n or not len(starts):
        return NGrams(np.empty(0, np.uint64), np.zeros_like(offsets))
    lengths = np.diff(np.append(starts, len(texts.codes)))
    position = np.arange(len(texts.codes)) - np.repeat(starts, lengths)
    weighted = mix_bits(
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
    return NGrams(mix_bits(hashes), ends)
