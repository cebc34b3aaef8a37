"""Rules that a program can check: what an answer must be like, whatever it says.

After IFEval (Zhou et al., 2023), whose four figures these are; the rules are ours, and hold for
English and Chinese. The expected answer of a record is the JSON list of its rules.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from lockstep.data import language
from lockstep.errors import UserError
from lockstep.metrics import json_answers, scores
from lockstep.params import NaturalInt, Section
from lockstep.predictions import Prediction

Text = Annotated[str, Field(min_length=1)]

_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)|[。！？…]+[”’」』）]*|\n+")
_BULLET = re.compile(r"^\s*[-*•] ", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n\s*\n")
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)
_QUOTES = ('""', "''", "“”", "‘’", "「」", "『』")


def _filled(parts: Sequence[str]) -> int:
    return sum(bool(part.strip()) for part in parts)


_COUNTS: dict[str, Callable[[str], int]] = {
    "words": lambda text: len(scores.split_words(text)),
    "characters": lambda text: len("".join(text.split())),
    "sentences": lambda text: _filled(_END.split(text)),
    "lines": lambda text: _filled(text.split("\n")),
    "bullets": lambda text: len(_BULLET.findall(text)),
    "paragraphs": lambda text: _filled(_BLANK_LINES.split(text)),
}


class Range(Section):
    """A number with a lower limit, an upper one or both."""

    at_least: NaturalInt | None = None
    at_most: NaturalInt | None = None

    @model_validator(mode="after")
    def _limits(self) -> "Range":
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least, at_most or both are needed")
        if self.at_least is not None and not self.holds(self.at_least):
            raise ValueError("at_least is more than at_most")
        return self

    def holds(self, number: int) -> bool:
        """Whether the number is within the limits, which belong to it."""
        low = self.at_least is None or number >= self.at_least
        return low and (self.at_most is None or number <= self.at_most)


class Count(Range):
    """How much there is; words are those of alphabets and single Chinese characters, characters
    those that are no blanks, bullets lines behind `-`, `*` or `•`, paragraphs what blank lines
    part."""

    rule: Literal["words", "characters", "sentences", "lines", "bullets", "paragraphs"]

    def follows(self, text: str) -> bool:
        return self.holds(_COUNTS[self.rule](text))


class Times(Range):
    """How often a text occurs."""

    rule: Literal["times"]
    text: Text

    def follows(self, text: str) -> bool:
        return self.holds(occurrences(self.text, text))


class Contains(Section):
    """A text occurs."""

    rule: Literal["contains"]
    text: Text

    def follows(self, text: str) -> bool:
        return occurrences(self.text, text) > 0


class ContainsAny(Section):
    """One of several texts occurs: a fact that can be written in several ways."""

    rule: Literal["contains_any"]
    texts: Annotated[list[Text], Field(min_length=2)]

    def follows(self, text: str) -> bool:
        return any(occurrences(one, text) for one in self.texts)


class Lacks(Section):
    """A text occurs nowhere."""

    rule: Literal["lacks"]
    text: Text

    def follows(self, text: str) -> bool:
        return not occurrences(self.text, text)


class Edge(Section):
    """The text that the answer begins or ends with, blanks aside, in any case."""

    rule: Literal["starts", "ends"]
    text: Text

    def follows(self, text: str) -> bool:
        whole, part = text.strip().casefold(), self.text.strip().casefold()
        return whole.startswith(part) if self.rule == "starts" else whole.endswith(part)


class OneOf(Section):
    """The answer is one of these texts, but for case, blanks and a mark at its end."""

    rule: Literal["one_of"]
    texts: Annotated[list[Text], Field(min_length=1)]

    def follows(self, text: str) -> bool:
        return _bare(text) in map(_bare, self.texts)


class Json(Section):
    """The whole answer is JSON, with or without a Markdown fence around it."""

    rule: Literal["json"]
    keys: list[Text] | None = None
    """Of the object that it must be, these and no others; none: any value."""

    def follows(self, text: str) -> bool:
        fenced = _FENCE.fullmatch(text.strip())
        value = json_answers.parse_json(fenced[1] if fenced else text)
        if self.keys is None:
            return value is not json_answers.INVALID
        return isinstance(value, dict) and value.keys() == set(self.keys)


class Language(Section):
    """The language as far as the script tells: en is any that Latin letters write."""

    rule: Literal["language"]
    language: Literal["en", "zh"]

    def follows(self, text: str) -> bool:
        return language.detect_language(text) == {"en": "latin", "zh": "zh"}[self.language]


class Case(Section):
    """All letters that have a case have this one, and there are some (as str.isupper)."""

    rule: Literal["case"]
    case: Literal["upper", "lower"]

    def follows(self, text: str) -> bool:
        return text.isupper() if self.case == "upper" else text.islower()


class Quoted(Section):
    """The whole answer stands in quotation marks."""

    rule: Literal["quoted"]

    def follows(self, text: str) -> bool:
        whole = text.strip()
        return len(whole) > 1 and whole[0] + whole[-1] in _QUOTES


Rule = Annotated[
    Count | Times | Contains | ContainsAny | Lacks | Edge | OneOf | Json | Language | Case | Quoted,
    Field(discriminator="rule"),
]
_RULES: TypeAdapter[list[Rule]] = TypeAdapter(Annotated[list[Rule], Field(min_length=1)])


@cache
def parsed(reference: str) -> Sequence[Rule]:
    """The rules of an expected answer; UserError where it is no list of them."""
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


def followed(reference: str, prediction: str) -> list[bool]:
    """Of each rule, in their order; an empty answer follows none (IFEval)."""
    return [bool(prediction.strip()) and rule.follows(prediction) for rule in parsed(reference)]


def followed_loosely(reference: str, prediction: str) -> list[bool]:
    """The same where one of IFEval's variants of the answer is enough: without its first line, its
    last one or both, which are often words around it, and each of these without asterisks."""
    lines = prediction.split("\n")
    truncated = [
        prediction,
        *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])),
    ]
    each = [
        followed(reference, text)
        for text in (*truncated, *(one.replace("*", "") for one in truncated))
    ]
    return [any(rule) for rule in zip(*each, strict=True)]


def all_followed(reference: str, prediction: str) -> float:
    """1 where every rule is followed: IFEval's strict accuracy by prompts."""
    return float(all(followed(reference, prediction)))


def all_followed_loosely(reference: str, prediction: str) -> float:
    """1 where every rule is, by some variant: IFEval's loose accuracy by prompts."""
    return float(all(followed_loosely(reference, prediction)))


def counted(check: Callable[[str, str], list[bool]]) -> Callable[[Sequence[Prediction]], Any]:
    """Rules followed by rules: IFEval's accuracy by instructions, as sums over records."""

    def parts(rows: Sequence[Prediction]) -> NDArray[np.float64]:
        found = [check(row.reference, row.prediction) for row in rows]
        return np.array([(sum(rules), len(rules)) for rules in found], dtype=float)

    return parts


def occurrences(part: str, text: str) -> int:
    """How often a text occurs, in any case, as whole_text_pattern finds it."""
    return len(json_answers.whole_text_pattern(part).findall(text))


def _bare(text: str) -> str:
    return text.strip().rstrip(".!。！").casefold()
