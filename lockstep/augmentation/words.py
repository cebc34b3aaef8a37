"""Find, delete, swap and replace words in texts of any script."""

import random
import re
from collections.abc import Callable, Collection

from lockstep.segmentation import Span, find_letter_words


def find_words(text: str, protected: Collection[str] = ()) -> list[Span]:
    """Return the spans of all words outside the protected texts; digits are in no word."""
    return exclude_overlapping(find_letter_words(text), find_texts(text, protected))


def find_texts(text: str, parts: Collection[str]) -> list[Span]:
    """Return the spans of all occurrences of the parts in the text."""
    return [m.span() for part in parts if part for m in re.finditer(re.escape(part), text)]


def exclude_overlapping(spans: Collection[Span], excluded: Collection[Span]) -> list[Span]:
    """Return the spans that overlap none of the excluded ones."""
    return [
        (start, end)
        for start, end in spans
        if not any(start < other_end and other_start < end for other_start, other_end in excluded)
    ]


def delete_words(text: str, rate: float, rng: random.Random, protected: Collection[str]) -> str:
    """Delete a share of the words, chosen at random (Wei and Zou, 2019, EDA).

    At least one word is deleted and at least one stays. Texts of one or two words are returned
    unchanged.
    """
    words = find_words(text, protected)
    if len(words) < 3:
        return text
    deleted = rng.sample(words, _count_share(rate, len(words) - 1))
    return re.sub(r" {2,}", " ", _substitute(text, deleted, lambda word: "")).strip()


def swap_words(text: str, rate: float, rng: random.Random, protected: Collection[str]) -> str:
    """Swap two random words, `rate` times the number of words (Wei and Zou, 2019, EDA)."""
    spans = find_words(text, protected)
    if len(spans) < 2:
        return text
    words = [text[start:end] for start, end in spans]
    for _ in range(_count_share(rate, len(words))):
        first, second = rng.sample(range(len(words)), 2)
        words[first], words[second] = words[second], words[first]
    parts, previous_end = [], 0
    for (start, end), word in zip(spans, words, strict=True):
        parts += [text[previous_end:start], word]
        previous_end = end
    return "".join(parts) + text[previous_end:]


def replace_words(
    text: str,
    rate: float,
    rng: random.Random,
    spans: list[Span],
    find_replacements: Callable[[str], list[str]],
) -> str:
    """Replace a share of the spans, at least one, by one of the replacements of their text.

    `find_replacements` gets the text in lower case. An upper-case first letter stays upper-case.
    """
    if not spans:
        return text

    def replace(word: str) -> str:
        replacement = rng.choice(find_replacements(word.casefold()))
        return replacement[0].upper() + replacement[1:] if word[0].isupper() else replacement

    return _substitute(text, rng.sample(spans, _count_share(rate, len(spans))), replace)


def _substitute(text: str, spans: list[Span], replace: Callable[[str], str]) -> str:
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + replace(text[start:end]) + text[end:]
    return text


def _count_share(rate: float, count: int) -> int:
    """Return `rate` of `count`, rounded, from 1 to `count`."""
    return min(max(1, round(rate * count)), count)
