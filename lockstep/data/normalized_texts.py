"""Normalized texts: what remains of a text when case, width, blanks and punctuation do not count.

Every function works on many texts at once, which are stored end to end in flat arrays.

Signs with a meaning remain: operators, currencies, `%`, `#`, `@`, `&`, `/`, emoji and others. So do
the signs that depend on their neighbours: a point, comma or colon between two digits, a hyphen
before a digit or at the start of a word (`-5`, `5 - 3`, `--flag`), `!` in `!=`, and brackets in a
text with another sign. All other punctuation is that of prose.
"""

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import regex

from lockstep import segmentation

Hashes = npt.NDArray[np.uint64]
"""Hashes of n-grams or of texts."""
Offsets = npt.NDArray[np.int64]
"""Start of each text in a flat array, followed by the end of the last text: (texts + 1,)."""
Mask = npt.NDArray[np.bool_]

# classes of characters; those from _BRACKET on depend on their neighbours
_IGNORED, _LETTER, _DIGIT, _WORD_ALONE, _MARK, _SIGN, _BRACKET, _POINT, _HYPHEN, _BANG = range(10)

_VARIANTS = re.compile("[\u3000\uf900-\ufdff\ufe30-\uffef]+")
"""Variants of characters by width or position. Others, such as x² and ½, have their own meaning."""
_HYPHENS = re.compile("[\u2010\u2011\u2212]")
_SPACED_MINUS = re.compile(r"(?<=[0-9])\s+-\s+(?=[0-9])")
_BREAK = "\n"  # between texts, so that no character has a neighbour in another text


@dataclass(frozen=True, slots=True)
class NormalizedTexts:
    """Normalized texts, end to end."""

    codes: npt.NDArray[np.uint32]
    """Code points of letters, marks, digits and signs."""
    starts_word: Mask
    """Whether a character is the first one of a word, or a sign."""
    kinds: npt.NDArray[np.uint8]
    """1 for a digit, 2 for a sign, 0 for any other character."""
    offsets: Offsets

    def merge(self, offsets: Offsets) -> "NormalizedTexts":
        """Join neighbouring texts; `offsets` are some of those before, the first one included."""
        end = offsets[-1]
        return NormalizedTexts(self.codes[:end], self.starts_word[:end], self.kinds[:end], offsets)

    def drop_signs(self) -> "NormalizedTexts":
        """Return the texts without signs."""
        is_kept = self.kinds != 2
        if is_kept.all():
            return self
        positions = np.concatenate([[0], np.cumsum(is_kept)])[self.offsets]
        return NormalizedTexts(
            self.codes[is_kept], self.starts_word[is_kept], self.kinds[is_kept], positions
        )

    def equate_digits(self) -> "NormalizedTexts":
        """Return the texts with `0` in the place of every digit."""
        codes = np.where(self.kinds == 1, np.uint32(ord("0")), self.codes)
        return NormalizedTexts(codes, self.starts_word, self.kinds, self.offsets)

    def make_keys(self) -> list[bytes]:
        """Return a key for each text; equal keys mean equal words and signs.

        The key of a text without any is empty.
        """
        marked = self.codes | (self.starts_word.astype(np.uint32) << np.uint32(31))
        bounds = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        return [marked[begin:end].tobytes() for begin, end in bounds]

    def hash_numbers(self) -> Hashes:
        """Return a hash of the numbers of each text, in order; 0 if it has none: (texts,)."""
        return self._hash_kind(1)

    def hash_signs(self) -> Hashes:
        """Return a hash of the signs of each text, in order; 0 if it has none: (texts,)."""
        return self._hash_kind(2)

    def _hash_kind(self, kind: int) -> Hashes:
        places = np.flatnonzero(self.kinds == kind)
        bounds = np.searchsorted(places, self.offsets)
        rank = (np.arange(len(places)) - np.repeat(bounds[:-1], np.diff(bounds))).astype(np.uint64)
        follows = np.append(False, np.diff(places) == 1)[: len(places)] & ~self.starts_word[places]
        values = self.codes[places].astype(np.uint64)
        values |= (follows.astype(np.uint64) << np.uint64(21)) | (rank << np.uint64(22))
        values = mix_bits(values)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values)])
        return sums[bounds[1:]] - sums[bounds[:-1]]


def normalize_texts(texts: Sequence[str]) -> NormalizedTexts:
    """Remove case, width, blanks and the punctuation of prose."""
    folded = [fold(text) for text in texts]
    joined = _BREAK + _BREAK.join(folded) + _BREAK
    raw = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
    begins = np.cumsum([1, *(len(text) + 1 for text in folded)])
    classes = build_character_table()[raw]
    _resolve_neighbours(classes, raw, begins)
    is_mark = _resolve_marks(classes)
    is_in_word, is_alone = _is_in_word(classes), classes == _WORD_ALONE
    starts_word = np.ones(len(raw), bool)
    starts_word[1:] = ~(is_in_word[:-1] & is_in_word[1:]) | is_alone[1:] | is_alone[:-1]
    starts_word[is_mark] = False
    is_kept = is_in_word | (classes == _SIGN)
    kept_classes = classes[is_kept]
    kinds = (kept_classes == _DIGIT) + 2 * (kept_classes == _SIGN).view(np.uint8)
    positions = np.concatenate([[0], np.cumsum(is_kept)])
    return NormalizedTexts(raw[is_kept], starts_word[is_kept], kinds, positions[begins])


def _is_in_word(classes: npt.NDArray[np.uint8]) -> Mask:
    """Return which characters are letters, digits or words by themselves."""
    return classes - np.uint8(_LETTER) <= np.uint8(_WORD_ALONE - _LETTER)


def _resolve_neighbours(
    classes: npt.NDArray[np.uint8], raw: npt.NDArray[np.uint32], begins: Offsets
) -> None:
    """Decide for each character whose class depends on its neighbours: a sign, or ignored."""
    places = np.flatnonzero(classes >= _BRACKET)
    kinds, before, after = classes[places], classes[places - 1], classes[places + 1]
    is_sign = (kinds == _POINT) & (before == _DIGIT) & (after == _DIGIT)
    is_sign |= (kinds == _HYPHEN) & (
        (after == _DIGIT) | (_is_in_word(after) & ~_is_in_word(before) & (before != _MARK))
    )
    is_sign |= (kinds == _BANG) & (raw[places + 1] == ord("="))
    classes[places[is_sign]] = _SIGN
    is_bracket = kinds == _BRACKET
    if is_bracket.any():
        texts_with_signs = np.searchsorted(begins, np.flatnonzero(classes == _SIGN), "right")
        texts = np.searchsorted(begins, places, "right")
        is_sign |= is_bracket & np.isin(texts, texts_with_signs)
    classes[places] = np.where(is_sign, _SIGN, _IGNORED)


def _resolve_marks(classes: npt.NDArray[np.uint8]) -> Mask:
    """Give marks the class of their letter, and return where they are; one without is ignored."""
    is_mark = classes == _MARK
    if is_mark.any():
        base = classes[np.maximum.accumulate(np.where(is_mark, 0, np.arange(len(classes))))]
        base[base == _DIGIT] = _LETTER
        classes[is_mark] = np.where(_is_in_word(base), base, _IGNORED)[is_mark]
    return is_mark


def fold(text: str) -> str:
    """Return the text without differences of case and width, with composed letters."""
    if not text.isascii():
        text = _VARIANTS.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
        text = _HYPHENS.sub("-", unicodedata.normalize("NFC", text.casefold()))
    if "- " in text:
        text = _SPACED_MINUS.sub("-", text)
    return text.lower() if text.isascii() else text


def mix_bits(values: Hashes) -> Hashes:
    """Scramble 64-bit numbers reversibly: each input bit affects each output bit (splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def prepare_table() -> None:
    """Build the table of character classes before a worker process divides."""
    build_character_table()


@cache
def build_character_table() -> npt.NDArray[np.uint8]:
    """Return the class of each code point: (1114112,)."""
    classes = np.zeros(sys.maxunicode + 1, np.uint8)
    categories = {
        _LETTER: r"\p{L}",
        _DIGIT: r"\p{N}",
        _MARK: r"\p{M}",
        _SIGN: r"\p{Sm}\p{Sc}\p{So}",
    }
    for begin, end in ((0, 0x40000), (0xE0000, 0xE0200)):  # no other characters are assigned
        characters = "".join(map(chr, range(begin, end)))
        for kind, pattern in categories.items():
            for run in regex.finditer(f"[{pattern}]+", characters):
                classes[begin + run.start() : begin + run.end()] = kind
    for first, last in (*segmentation.IDEOGRAPHS, *segmentation.KANA, *segmentation.THAI):
        block = classes[first : last + 1]
        block[block == _LETTER] = _WORD_ALONE
    classes[ord("〇")] = _WORD_ALONE
    groups = {
        "#%&*/@\\^_{}‰‱§": _SIGN, "()[]": _BRACKET, ".,:": _POINT, "-": _HYPHEN, "!": _BANG,
        segmentation.JOINERS: _MARK,
    }  # fmt: skip
    for signs, kind in groups.items():
        classes[[ord(sign) for sign in signs]] = kind
    return classes
