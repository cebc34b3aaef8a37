"""Words left out, exchanged or replaced, in any language; what is protected stays."""

import random
import re
import tempfile
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]+(?:['’][^\W\d_]+)*|[\u3400-\u9fff]+")
"""A word of an alphabet, or a run of Chinese; never a digit."""

Span = tuple[int, int]


def spans(text: str, protected: Collection[str] = ()) -> list[Span]:
    """Where the words begin and end that may change; Chinese is divided by jieba."""
    found: list[Span] = []
    for match in _WORD.finditer(text):
        if _HAN.match(match.group()):
            found += [(match.start() + a, match.start() + b) for _, a, b in _cut(match.group())]
        else:
            found.append(match.span())
    return apart(found, find(text, protected))


def delete(text: str, rate: float, draw: random.Random, protected: Collection[str]) -> str:
    """Random deletion (Wei and Zou, 2019, EDA): each word goes with equal chance."""
    words = spans(text, protected)
    if len(words) < 3:
        return text
    gone = draw.sample(words, _count(rate, len(words) - 1))
    return re.sub(r" {2,}", " ", _replaced(text, gone, lambda word: "")).strip()


def swap(text: str, rate: float, draw: random.Random, protected: Collection[str]) -> str:
    """Random swap (Wei and Zou, 2019, EDA): two words change places, as often as asked."""
    words = spans(text, protected)
    if len(words) < 2:
        return text
    texts = [text[a:b] for a, b in words]
    for _ in range(_count(rate, len(words))):
        one, other = draw.sample(range(len(words)), 2)
        texts[one], texts[other] = texts[other], texts[one]
    places = dict(zip(words, texts, strict=True))
    parts, end = [], 0
    for (a, b), word in places.items():
        parts += [text[end:a], word]
        end = b
    return "".join(parts) + text[end:]


def replace(
    text: str,
    rate: float,
    draw: random.Random,
    places: list[Span],
    others: Callable[[str], list[str]],
) -> str:
    """A share of the places give way to one of `others`; the first letter keeps its case."""
    if not places:
        return text

    def other(word: str) -> str:
        new = draw.choice(others(word.casefold()))
        return new[0].upper() + new[1:] if word[0].isupper() else new

    return _replaced(text, draw.sample(places, _count(rate, len(places))), other)


def apart(places: Collection[Span], kept: Collection[Span]) -> list[Span]:
    """The places that touch none of those to be kept."""
    return [(a, b) for a, b in places if not any(a < end and begin < b for begin, end in kept)]


def find(text: str, values: Collection[str]) -> list[Span]:
    """Wherever one of the values stands in the text."""
    return [m.span() for value in values if value for m in re.finditer(re.escape(value), text)]


def _replaced(text: str, places: list[Span], change: Callable[[str], str]) -> str:
    for begin, end in sorted(places, reverse=True):
        text = text[:begin] + change(text[begin:end]) + text[end:]
    return text


def _count(rate: float, most: int) -> int:
    return min(max(1, round(rate * most)), most)


def _cut(text: str) -> list[tuple[str, int, int]]:
    return list(_jieba().tokenize(text, HMM=False))


@cache
def _jieba() -> Any:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    with tempfile.TemporaryDirectory(prefix="lockstep-") as private:
        tokenizer.tmp_dir = private  # its cache is a pickle, and /tmp is everybody's
        tokenizer.initialize()
    return tokenizer
