"""IFEval's rules for what an answer says: keywords, letters, language, case, begin and end.

A rule has the name and the arguments of IFEval's instruction (Zhou et al., 2023) and the result of
the original code, which the tests compare. One thing differs: the original draws missing arguments
at random, and a letter that is not a Latin one too. Here arguments are required, and the letter is
any character.
"""

import re
from typing import Annotated, Literal

from pydantic import Field

from lockstep.metrics.rules import text_analysis
from lockstep.metrics.rules.contents import Text
from lockstep.params import NaturalInt, Section
from lockstep.patterns import Pattern

Relation = Literal["less than", "at least"]


def compare(number: int, relation: Relation, threshold: int) -> bool:
    """Whether a number is less than a threshold, or at least that."""
    return number < threshold if relation == "less than" else number >= threshold


class Keywords(Section):
    """Each keyword, a regular expression, is found in the answer, in any case."""

    rule: Literal["keywords:existence"]
    keywords: Annotated[list[Pattern], Field(min_length=1)]

    def is_met(self, answer: str) -> bool:
        return all(re.search(word, answer, flags=re.IGNORECASE) for word in self.keywords)


class KeywordFrequency(Section):
    """A keyword, a regular expression, is found less than or at least a number of times."""

    rule: Literal["keywords:frequency"]
    keyword: Pattern
    frequency: NaturalInt
    relation: Relation

    def is_met(self, answer: str) -> bool:
        number = len(re.findall(self.keyword.strip(), answer, flags=re.IGNORECASE))
        return compare(number, self.relation, self.frequency)


class ForbiddenWords(Section):
    """No forbidden word, a regular expression, is found as a whole word, in any case."""

    rule: Literal["keywords:forbidden_words"]
    forbidden_words: Annotated[list[Pattern], Field(min_length=1)]

    def is_met(self, answer: str) -> bool:
        return not any(
            re.search(rf"\b{word}\b", answer, flags=re.IGNORECASE) for word in self.forbidden_words
        )


class LetterFrequency(Section):
    """A letter occurs less than or at least a number of times, in any case."""

    rule: Literal["keywords:letter_frequency"]
    letter: Annotated[str, Field(min_length=1, max_length=1)]
    let_frequency: NaturalInt
    let_relation: Relation

    def is_met(self, answer: str) -> bool:
        number = answer.lower().count(self.letter.lower())
        return compare(number, self.let_relation, self.let_frequency)


class ResponseLanguage(Section):
    """langdetect finds this language; a text without letters meets the rule."""

    rule: Literal["language:response_language"]
    language: Text

    def is_met(self, answer: str) -> bool:
        return text_analysis.identify_language(answer) in (self.language, None)


class EnglishCase(Section):
    """The answer is English and all upper case, or all lower case."""

    rule: Literal["change_case:english_capital", "change_case:english_lowercase"]

    def is_met(self, answer: str) -> bool:
        is_upper = self.rule == "change_case:english_capital"
        has_case = answer.isupper() if is_upper else answer.islower()
        return has_case and text_analysis.identify_language(answer) in ("en", None)


class Postscript(Section):
    """The answer has a postscript; the markers `P.S.` and `P.P.S` may be written with a blank."""

    rule: Literal["detectable_content:postscript"]
    postscript_marker: Pattern

    def is_met(self, answer: str) -> bool:
        marker = self.postscript_marker.strip()
        patterns = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
        return re.search(patterns.get(marker, marker.lower()), answer.lower()) is not None


class ConstrainedResponse(Section):
    """The answer contains one of IFEval's three sentences."""

    rule: Literal["detectable_format:constrained_response"]

    def is_met(self, answer: str) -> bool:
        return any(f"My answer is {choice}." in answer for choice in ("yes", "no", "maybe"))


class RepeatPrompt(Section):
    """The answer begins with the prompt, in any case."""

    rule: Literal["combination:repeat_prompt"]
    prompt_to_repeat: Text

    def is_met(self, answer: str) -> bool:
        return answer.strip().lower().startswith(self.prompt_to_repeat.strip().lower())


class EndPhrase(Section):
    """The answer ends with a phrase, in any case; a quotation mark may follow."""

    rule: Literal["startend:end_checker"]
    end_phrase: Text

    def is_met(self, answer: str) -> bool:
        return answer.strip().strip('"').lower().endswith(self.end_phrase.strip().lower())


class Quotation(Section):
    """The whole answer is in straight double quotation marks."""

    rule: Literal["startend:quotation"]

    def is_met(self, answer: str) -> bool:
        whole = answer.strip()
        return len(whole) > 1 and whole[0] == whole[-1] == '"'


class NoComma(Section):
    """The answer has no comma."""

    rule: Literal["punctuation:no_comma"]

    def is_met(self, answer: str) -> bool:
        return "," not in answer


ContentRule = (
    Keywords
    | KeywordFrequency
    | ForbiddenWords
    | LetterFrequency
    | ResponseLanguage
    | EnglishCase
    | Postscript
    | ConstrainedResponse
    | RepeatPrompt
    | EndPhrase
    | Quotation
    | NoComma
)
