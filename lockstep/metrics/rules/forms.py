"""Rules for the form of a whole answer: JSON, language, case, quotation marks, parts."""

from typing import Literal

from lockstep.data import language
from lockstep.metrics import json_answers
from lockstep.metrics.rules import text_analysis
from lockstep.metrics.rules.contents import Text
from lockstep.metrics.rules.counts import split_paragraphs
from lockstep.params import PositiveInt, Section

_QUOTES = ('""', "''", "“”", "‘’", "「」", "『』")
_LANGUAGES_BY_SCRIPT = {"en": "latin", "zh": "zh", "ja": "ja", "ko": "ko"}
"""Languages that the script decides, and the script's name in `detect_language`."""
_RESPONSES_SEPARATOR = "******"


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
    """The answer is in a language.

    The script decides about zh, ja, ko and en (any language in Latin letters), langdetect about
    all others.
    """

    rule: Literal["language"]
    language: Literal["zh"] | text_analysis.Language

    def is_met(self, answer: str) -> bool:
        if self.language in _LANGUAGES_BY_SCRIPT:
            return language.detect_language(answer) == _LANGUAGES_BY_SCRIPT[self.language]
        return text_analysis.identify_language(answer) == self.language


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


class ParagraphStart(Section):
    """A paragraph, counted from 1, starts with a text, in any case."""

    rule: Literal["paragraph_starts"]
    paragraph: PositiveInt
    text: Text

    def is_met(self, answer: str) -> bool:
        paragraphs = split_paragraphs(answer)
        if self.paragraph > len(paragraphs):
            return False
        paragraph = paragraphs[self.paragraph - 1].strip().casefold()
        return paragraph.startswith(self.text.strip().casefold())


class TwoResponses(Section):
    """The answer consists of two different responses with `******` between them."""

    rule: Literal["two_responses"]

    def is_met(self, answer: str) -> bool:
        return has_two_responses(answer)


def has_two_responses(answer: str) -> bool:
    """Whether two different responses are separated by six asterisks, as in IFEval.

    A separator may also stand before the first response and after the second one.
    """
    parts = [part.strip() for part in answer.split(_RESPONSES_SEPARATOR)]
    if not all(parts[1:-1]):
        return False
    responses = [part for part in parts if part]
    return len(responses) == 2 and responses[0] != responses[1]
