"""IFEval's rules for the form of an answer: lengths, paragraphs, sections, lists, JSON, title.

A rule has the name and the arguments of IFEval's instruction (Zhou et al., 2023) and the result of
the original code, which the tests compare.
"""

import json
import re
from typing import Literal

from pydantic import model_validator

from lockstep.metrics.rules import counts, forms, text_analysis
from lockstep.metrics.rules.contents import Text
from lockstep.metrics.rules.ifeval_contents import Relation, compare
from lockstep.params import NaturalInt, PositiveInt, Section
from lockstep.patterns import Pattern

_STAR_BULLET = re.compile(r"^\s*\*[^\*].*$", re.MULTILINE)
_DASH_BULLET = re.compile(r"^\s*-.*$", re.MULTILINE)
_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_FENCE_STARTS = ("```json", "```Json", "```JSON", "```")


class NumberOfSentences(Section):
    """The number of sentences, by NLTK, is less than or at least a threshold."""

    rule: Literal["length_constraints:number_sentences"]
    num_sentences: NaturalInt
    relation: Relation

    def is_met(self, answer: str) -> bool:
        return compare(text_analysis.count_sentences(answer), self.relation, self.num_sentences)


class NumberOfWords(Section):
    """The number of words, by NLTK, is less than or at least a threshold."""

    rule: Literal["length_constraints:number_words"]
    num_words: NaturalInt
    relation: Relation

    def is_met(self, answer: str) -> bool:
        return compare(text_analysis.count_words(answer), self.relation, self.num_words)


class NumberOfParagraphs(Section):
    """The number of paragraphs that `***` separates is exactly this; none is empty between two."""

    rule: Literal["length_constraints:number_paragraphs"]
    num_paragraphs: NaturalInt

    def is_met(self, answer: str) -> bool:
        paragraphs = [part.strip() for part in _DIVIDER.split(answer)]
        if not all(paragraphs[1:-1]):
            return False
        return sum(map(bool, paragraphs)) == self.num_paragraphs


class ParagraphFirstWord(Section):
    """There are this many paragraphs, and one of them begins with a word, in any case.

    Paragraphs are separated by an empty line. A punctuation mark ends a word.
    """

    rule: Literal["length_constraints:nth_paragraph_first_word"]
    num_paragraphs: NaturalInt
    nth_paragraph: PositiveInt
    first_word: Text

    @model_validator(mode="after")
    def _check_number(self) -> "ParagraphFirstWord":
        if self.nth_paragraph > self.num_paragraphs:
            raise ValueError("nth_paragraph is more than num_paragraphs")
        return self

    def is_met(self, answer: str) -> bool:
        paragraphs = [part.strip() for part in answer.split("\n\n")]
        if sum(map(bool, paragraphs)) != self.num_paragraphs:
            return False
        paragraph = paragraphs[self.nth_paragraph - 1]  # empty ones count here, as in IFEval
        return bool(paragraph) and _find_first_word(paragraph) == self.first_word.lower()


class NumberOfPlaceholders(Section):
    """At least this many placeholders stand in square brackets."""

    rule: Literal["detectable_content:number_placeholders"]
    num_placeholders: NaturalInt

    def is_met(self, answer: str) -> bool:
        return counts.count_placeholders(answer) >= self.num_placeholders


class NumberOfBullets(Section):
    """Exactly this many lines begin with `*` or `-`."""

    rule: Literal["detectable_format:number_bullet_lists"]
    num_bullets: NaturalInt

    def is_met(self, answer: str) -> bool:
        bullets = len(_STAR_BULLET.findall(answer)) + len(_DASH_BULLET.findall(answer))
        return bullets == self.num_bullets


class NumberOfHighlights(Section):
    """At least this many parts are in asterisks."""

    rule: Literal["detectable_format:number_highlighted_sections"]
    num_highlights: NaturalInt

    def is_met(self, answer: str) -> bool:
        return counts.count_highlights(answer) >= self.num_highlights


class MultipleSections(Section):
    """At least this many sections begin with a marker, a regular expression, and a number."""

    rule: Literal["detectable_format:multiple_sections"]
    section_spliter: Pattern
    num_sections: NaturalInt

    def is_met(self, answer: str) -> bool:
        marker = self.section_spliter.strip()
        return counts.count_sections(marker, answer) >= self.num_sections


class JsonFormat(Section):
    """The answer is JSON as Python reads it, with or without a Markdown fence around it."""

    rule: Literal["detectable_format:json_format"]

    def is_met(self, answer: str) -> bool:
        text = answer.strip()
        for start in _FENCE_STARTS:
            text = text.removeprefix(start)
        try:
            json.loads(text.removesuffix("```").strip())
        except (ValueError, RecursionError):
            return False
        return True


class Title(Section):
    """The answer has a title in double angle brackets."""

    rule: Literal["detectable_format:title"]

    def is_met(self, answer: str) -> bool:
        return counts.count_titles(answer) > 0


class TwoResponses(Section):
    """The answer consists of two different responses with `******` between them."""

    rule: Literal["combination:two_responses"]

    def is_met(self, answer: str) -> bool:
        return forms.has_two_responses(answer)


class CapitalWords(Section):
    """The number of words in capital letters is less than or at least a threshold."""

    rule: Literal["change_case:capital_word_frequency"]
    capital_frequency: NaturalInt
    capital_relation: Relation

    def is_met(self, answer: str) -> bool:
        number = counts.count_capital_words(answer)
        return compare(number, self.capital_relation, self.capital_frequency)


FormRule = (
    NumberOfSentences
    | NumberOfWords
    | NumberOfParagraphs
    | ParagraphFirstWord
    | NumberOfPlaceholders
    | NumberOfBullets
    | NumberOfHighlights
    | MultipleSections
    | JsonFormat
    | Title
    | TwoResponses
    | CapitalWords
)


def _find_first_word(paragraph: str) -> str:
    """Return the first word in lower case, without quotation marks before it."""
    word = paragraph.split()[0].lstrip("'").lstrip('"')
    word = re.split(r"[.,?!'\"]", word, maxsplit=1)[0]
    return "".join(letter.lower() for letter in word)  # the final sigma stays as in IFEval
