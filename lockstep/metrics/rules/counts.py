"""Rules for how many of something an answer has."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lockstep.metrics import scores
from lockstep.metrics.rules import text_analysis
from lockstep.metrics.rules.contents import Text, count_occurrences
from lockstep.params import NaturalInt, Section

_END_OF_SENTENCE = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)|[。！？…]+[”’」』）]*|\n+")
_BULLET = re.compile(r"^\s*[-*•] ", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n\s*\n")
_HIGHLIGHT = re.compile(r"\*[^\n\*]*\*")
_BOLD_HIGHLIGHT = re.compile(r"\*\*[^\n\*]*\*\*")
_PLACEHOLDER = re.compile(r"\[.*?\]")
_TITLE = re.compile(r"<<[^\n]+>>")


def count_highlights(text: str) -> int:
    """Return the number of parts between single or double asterisks, as IFEval counts them."""
    return sum(bool(part.strip("*").strip()) for part in _HIGHLIGHT.findall(text)) + sum(
        bool(part.removeprefix("**").removesuffix("**").strip())
        for part in _BOLD_HIGHLIGHT.findall(text)
    )


def count_placeholders(text: str) -> int:
    """Return the number of placeholders in square brackets, such as [address]."""
    return len(_PLACEHOLDER.findall(text))


def count_titles(text: str) -> int:
    """Return the number of titles in double angle brackets, such as <<Night train>>."""
    return sum(bool(part.lstrip("<").rstrip(">").strip()) for part in _TITLE.findall(text))


def count_capital_words(text: str) -> int:
    """Return the number of words in capital letters; a word with a hyphen is one word."""
    return sum(token.isupper() for token in text_analysis.split_tokens(text))


def count_sections(marker: str, text: str) -> int:
    """Return the number of sections that begin with a marker and a number, such as Section 1.

    The marker is a regular expression, as in IFEval.
    """
    return len(re.split(r"\s?" + marker + r"\s?\d+\s?", text)) - 1


def split_paragraphs(text: str) -> list[str]:
    """Return the parts that blank lines separate, without empty ones."""
    return [part for part in _BLANK_LINES.split(text) if part.strip()]


def _count_not_blank(parts: Sequence[str]) -> int:
    return sum(bool(part.strip()) for part in parts)


_COUNTS: dict[str, Callable[[str], int]] = {
    "words": lambda text: len(scores.split_words(text)),
    "characters": lambda text: len("".join(text.split())),
    "sentences": lambda text: _count_not_blank(_END_OF_SENTENCE.split(text)),
    "lines": lambda text: _count_not_blank(text.split("\n")),
    "bullets": lambda text: len(_BULLET.findall(text)),
    "paragraphs": lambda text: len(split_paragraphs(text)),
    "highlights": count_highlights,
    "placeholders": count_placeholders,
    "titles": count_titles,
    "capital_words": count_capital_words,
}
"""Unit -> function that counts it in a text."""


class Range(Section):
    """A range of numbers with a lower bound, an upper bound or both, all inclusive."""

    at_least: NaturalInt | None = None
    at_most: NaturalInt | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> "Range":
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least, at_most or both are needed")
        if self.at_least is not None and not self.includes(self.at_least):
            raise ValueError("at_least is more than at_most")
        return self

    def includes(self, number: int) -> bool:
        """Whether the number is in the range."""
        if self.at_least is not None and number < self.at_least:
            return False
        return self.at_most is None or number <= self.at_most


class Count(Range):
    """The number of words, characters, sentences, lines, bullets … is in a range.

    A Chinese character is a word. Characters do not include white space. Bullets are lines that
    begin with `-`, `*` or `•`. Paragraphs are separated by blank lines. Highlights are in
    asterisks, placeholders in square brackets, titles in double angle brackets.
    """

    rule: Literal[
        "words",
        "characters",
        "sentences",
        "lines",
        "bullets",
        "paragraphs",
        "highlights",
        "placeholders",
        "titles",
        "capital_words",
    ]

    def is_met(self, answer: str) -> bool:
        return self.includes(_COUNTS[self.rule](answer))


class Times(Range):
    """The number of times that a text occurs in the answer is in a range."""

    rule: Literal["times"]
    text: Text

    def is_met(self, answer: str) -> bool:
        return self.includes(count_occurrences(self.text, answer))


class Letter(Range):
    """The number of times that a letter occurs in the answer, in any case, is in a range."""

    rule: Literal["letter"]
    letter: Annotated[str, Field(min_length=1, max_length=1)]

    def is_met(self, answer: str) -> bool:
        return self.includes(answer.lower().count(self.letter.lower()))


class Sections(Range):
    """The number of sections that begin with a marker and a number is in a range."""

    rule: Literal["sections"]
    marker: Text = "Section"

    def is_met(self, answer: str) -> bool:
        return self.includes(count_sections(re.escape(self.marker), answer))
