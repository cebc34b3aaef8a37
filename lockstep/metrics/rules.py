"""Check rules for the form of an answer, such as its length or its language.

This follows IFEval (Zhou et al., 2023) and its four metrics. The rules are our own and work for
English and Chinese. The reference of a record is the JSON list of its rules.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from lockstep.data import language
from lockstep.errors import UserError
from lockstep.metrics import json_answers, scores
from lockstep.metrics.aggregation import Numbers
from lockstep.params import NaturalInt, Section
from lockstep.predictions import Prediction

Text = Annotated[str, Field(min_length=1)]

_END_OF_SENTENCE = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)|[。！？…]+[”’」』）]*|\n+")
_BULLET = re.compile(r"^\s*[-*•] ", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n\s*\n")
_QUOTES = ('""', "''", "“”", "‘’", "「」", "『』")


def _count_not_blank(parts: Sequence[str]) -> int:
    return sum(bool(part.strip()) for part in parts)


_COUNTS: dict[str, Callable[[str], int]] = {
    "words": lambda text: len(scores.split_words(text)),
    "characters": lambda text: len("".join(text.split())),
    "sentences": lambda text: _count_not_blank(_END_OF_SENTENCE.split(text)),
    "lines": lambda text: _count_not_blank(text.split("\n")),
    "bullets": lambda text: len(_BULLET.findall(text)),
    "paragraphs": lambda text: _count_not_blank(_BLANK_LINES.split(text)),
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
    """The number of words, characters, sentences, lines, bullets or paragraphs is in a range.

    A Chinese character is a word. Characters do not include white space. Bullets are lines that
    begin with `-`, `*` or `•`. Paragraphs are separated by blank lines.
    """

    rule: Literal["words", "characters", "sentences", "lines", "bullets", "paragraphs"]

    def is_met(self, answer: str) -> bool:
        return self.includes(_COUNTS[self.rule](answer))


class Times(Range):
    """The number of times that a text occurs in the answer is in a range."""

    rule: Literal["times"]
    text: Text

    def is_met(self, answer: str) -> bool:
        return self.includes(count_occurrences(self.text, answer))


class Contains(Section):
    """The answer contains a text."""

    rule: Literal["contains"]
    text: Text

    def is_met(self, answer: str) -> bool:
        return count_occurrences(self.text, answer) > 0


class ContainsAny(Section):
    """The answer contains one of several texts, such as different spellings of a fact."""

    rule: Literal["contains_any"]
    texts: Annotated[list[Text], Field(min_length=2)]

    def is_met(self, answer: str) -> bool:
        return any(count_occurrences(text, answer) for text in self.texts)


class Lacks(Section):
    """The answer does not contain a text."""

    rule: Literal["lacks"]
    text: Text

    def is_met(self, answer: str) -> bool:
        return not count_occurrences(self.text, answer)


class Edge(Section):
    """The answer starts or ends with a text, ignoring case and surrounding white space."""

    rule: Literal["starts", "ends"]
    text: Text

    def is_met(self, answer: str) -> bool:
        whole, part = answer.strip().casefold(), self.text.strip().casefold()
        return whole.startswith(part) if self.rule == "starts" else whole.endswith(part)


class OneOf(Section):
    """The answer is one of several texts, ignoring case and a full stop at the end."""

    rule: Literal["one_of"]
    texts: Annotated[list[Text], Field(min_length=1)]

    def is_met(self, answer: str) -> bool:
        return _normalize(answer) in map(_normalize, self.texts)


class Json(Section):
    """The whole answer is JSON, with or without a Markdown fence around it."""

    rule: Literal["json"]
    keys: list[Text] | None = None
    """Keys of the object that the answer must be, no more and no fewer; None allows any value."""

    def is_met(self, answer: str) -> bool:
        value = json_answers.parse_json(json_answers.strip_code_fence(answer))
        if self.keys is None:
            return value is not json_answers.INVALID
        return isinstance(value, dict) and value.keys() == set(self.keys)


class Language(Section):
    """The answer is in a language. Only its script counts: en is any language in Latin letters."""

    rule: Literal["language"]
    language: Literal["en", "zh"]

    def is_met(self, answer: str) -> bool:
        return language.detect_language(answer) == {"en": "latin", "zh": "zh"}[self.language]


class Case(Section):
    """All letters of the answer are upper case, or all are lower case; it has at least one."""

    rule: Literal["case"]
    case: Literal["upper", "lower"]

    def is_met(self, answer: str) -> bool:
        return answer.isupper() if self.case == "upper" else answer.islower()


class Quoted(Section):
    """The whole answer is in quotation marks."""

    rule: Literal["quoted"]

    def is_met(self, answer: str) -> bool:
        whole = answer.strip()
        return len(whole) > 1 and whole[0] + whole[-1] in _QUOTES


Rule = Annotated[
    Count | Times | Contains | ContainsAny | Lacks | Edge | OneOf | Json | Language | Case | Quoted,
    Field(discriminator="rule"),
]
_RULES: TypeAdapter[list[Rule]] = TypeAdapter(Annotated[list[Rule], Field(min_length=1)])


@cache
def parse_rules(reference: str) -> Sequence[Rule]:
    """Return the rules of a reference; raise UserError if it is not a list of rules."""
    try:
        return _RULES.validate_json(reference)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(
            f"the reference is not a list of rules: {place and place + ': '}"
            f"{message[:1].lower()}{message[1:]}; correct it (docs/evaluation.md lists the rules)"
        ) from None


def check_rules(reference: str, prediction: str) -> list[bool]:
    """Return whether each rule is met, in order; an empty answer meets none (IFEval)."""
    return [bool(prediction.strip()) and rule.is_met(prediction) for rule in parse_rules(reference)]


def check_rules_loosely(reference: str, prediction: str) -> list[bool]:
    """Return whether each rule is met by one of IFEval's variants of the answer.

    The variants lack the first line, the last line or both, since these lines often frame the
    answer. Each variant, and the answer itself, is also tried without asterisks.
    """
    lines = prediction.split("\n")
    inner_lines = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    variants = [prediction, *inner_lines]
    variants += [variant.replace("*", "") for variant in variants]
    by_variant = [check_rules(reference, variant) for variant in variants]
    return [any(rule) for rule in zip(*by_variant, strict=True)]


def all_followed(reference: str, prediction: str) -> float:
    """Return 1 if every rule is met: IFEval's strict prompt-level accuracy."""
    return float(all(check_rules(reference, prediction)))


def all_followed_loosely(reference: str, prediction: str) -> float:
    """Return 1 if every rule is met by a variant: IFEval's loose prompt-level accuracy."""
    return float(all(check_rules_loosely(reference, prediction)))


def count_rules(predictions: Sequence[Prediction]) -> Numbers:
    """Return the summands of IFEval's strict instruction-level accuracy: (rules met, rules)."""
    return _count_met(check_rules, predictions)


def count_rules_loosely(predictions: Sequence[Prediction]) -> Numbers:
    """Return the summands of IFEval's loose instruction-level accuracy: (rules met, rules)."""
    return _count_met(check_rules_loosely, predictions)


def count_occurrences(part: str, text: str) -> int:
    """Count how often `part` occurs in a text, ignoring case, but not inside a word or number."""
    return len(json_answers.compile_whole_text(part).findall(text))


def _count_met(
    check: Callable[[str, str], list[bool]], predictions: Sequence[Prediction]
) -> Numbers:
    """Return (rules met, rules) of each record, (records, 2)."""
    results = [check(row.reference, row.prediction) for row in predictions]
    return np.array([(sum(is_met), len(is_met)) for is_met in results], dtype=float)


def _normalize(text: str) -> str:
    return text.strip().rstrip(".!。！").casefold()
