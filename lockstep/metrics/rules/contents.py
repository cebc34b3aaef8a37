"""Rules for what an answer says: texts that it contains, begins with or ends with."""

import re
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from lockstep.metrics import json_answers
from lockstep.params import Section
from lockstep.patterns import Pattern

Text = Annotated[str, Field(min_length=1)]


def count_occurrences(part: str, text: str) -> int:
    """Count how often `part` occurs in a text, ignoring case, but not inside a word or number."""
    return len(_compile_whole_text(part).findall(text))


_compile_whole_text = cache(json_answers.compile_whole_text)


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


class Matches(Section):
    """A regular expression is found in the answer; `^` and `$` are its start and end."""

    rule: Literal["matches"]
    pattern: Pattern

    def is_met(self, answer: str) -> bool:
        return re.search(self.pattern, answer) is not None


class Edge(Section):
    """The answer starts or ends with a text, ignoring case and surrounding white space."""

    rule: Literal["starts", "ends"]
    text: Text

    def is_met(self, answer: str) -> bool:
        whole, part = answer.strip().casefold(), self.text.strip().casefold()
        return whole.startswith(part) if self.rule == "starts" else whole.endswith(part)


class Postscript(Section):
    """A line of the answer begins with the marker of a postscript, after at least one other."""

    rule: Literal["postscript"]
    marker: Text = "P.S."

    def is_met(self, answer: str) -> bool:
        _, *lines = answer.strip().split("\n")
        marker = self.marker.strip().casefold()
        return any(line.strip().casefold().startswith(marker) for line in lines)


class OneOf(Section):
    """The answer is one of several texts, ignoring case and a full stop at the end."""

    rule: Literal["one_of"]
    texts: Annotated[list[Text], Field(min_length=1)]

    def is_met(self, answer: str) -> bool:
        return _normalize(answer) in map(_normalize, self.texts)


def _normalize(text: str) -> str:
    return text.strip().rstrip(".!。！").casefold()
