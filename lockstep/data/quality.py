"""Quality signals: cheap checks that find faulty records. Their limits are in params.yaml."""

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any

import regex
from pydantic import Field, field_validator, model_validator

from lockstep.data import language
from lockstep.params import Fraction, PositiveFloat, Section
from lockstep.records import Record

_WORD = regex.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+")
_SENTENCE_END = re.compile(r"[.!?。！？…:：;；)）\]】}》」』\"”'’`*|>~\d%]\s*$|```\s*$")
_MIN_PROSE_CHARACTERS = 200
"""Minimum number of characters of an answer that is prose and must end like a sentence."""
_MIN_WORDS = 20
"""Minimum number of words of an answer whose repetition, length and language are checked."""


class QualityParams(Section):
    """Limits of the quality signals."""

    max_repetition: Fraction = 0.7
    """Maximum share of repeated words in an answer; above it, the answer is `repetitive`."""
    length_ratio: Annotated[list[PositiveFloat], Field(min_length=2, max_length=2)] = Field(
        default=[0.01, 100.0]
    )
    """Minimum and maximum ratio of answer length to question length, both in characters; only
    answers of 20 words or more are checked."""
    min_score: Fraction = 0.0
    """Minimum quality score (share of signals without a fault); a record with a lower score is
    rejected as `low_quality`."""

    grades: list[str] = Field(default=[])
    """Filled grading forms in data/raw: sheets as CSV, or exports of Label Studio as JSON."""
    min_grade: Annotated[float, Field(ge=1, le=5)] = 1.0
    """Minimum mean grade of a record in each dimension (correct, complete, consistent), from 1 to
    5; a record with a lower one is rejected as `low_grade`. Records without grades stay."""

    @model_validator(mode="after")
    def _check_grades(self) -> "QualityParams":
        if self.min_grade > 1 and not self.grades:
            raise ValueError("min_grade: needs files of grades; name them in grades")
        return self

    @field_validator("length_ratio")
    @classmethod
    def _check_order(cls, ratio: list[float]) -> list[float]:
        if ratio[0] > ratio[1]:
            raise ValueError("the minimum must come before the maximum")
        return ratio


SIGNALS = (
    "repetitive",
    "length_ratio",
    "other_language",
    "copies_question",
    "truncated",
    "damaged",
    "incomplete",
    "inconsistent",
)
"""Names of the signals, as the data card shows them."""


def find_faults(record: Record, params: QualityParams) -> list[str]:
    """Return the signals that find a fault in the record.

    - repetitive: the answer repeats its words (checked from 20 words on)
    - length_ratio: the answer is much shorter or longer than the question (from 20 words on)
    - other_language: question and answer have different languages (from 20 words on)
    - copies_question: the answer is the question
    - truncated: prose of 200 characters or more ends within a sentence, or a code block is open
    - damaged: the text contains U+FFFD, or the answer an unfilled {{placeholder}}
    - incomplete: a JSON answer has a null or empty value, or no value
    - inconsistent: a JSON answer has a string that does not occur in the question
    """
    question, answer = record.question, record.answer
    faults = []
    words = answer.split() if answer.isascii() else _WORD.findall(answer)
    if len(words) >= _MIN_WORDS:
        if 1 - len(set(words)) / len(words) > params.max_repetition:
            faults.append("repetitive")
        minimum, maximum = params.length_ratio
        if question and not minimum <= len(answer) / len(question) <= maximum:
            faults.append("length_ratio")
        if question and not language.is_same_language(question, answer):
            faults.append("other_language")
    if answer == question:
        faults.append("copies_question")
    if _is_truncated(answer):
        faults.append("truncated")
    if "\ufffd" in answer or "\ufffd" in question or "{{" in answer:
        faults.append("damaged")
    if answer.startswith("{") and "tool_calls" not in record.messages[-1]:
        faults += _find_json_faults(question, answer)
    return faults


def compute_score(faults: Iterable[str]) -> float:
    """Return the share of signals that found no fault."""
    return round(1 - len(list(faults)) / len(SIGNALS), 4)


def _is_truncated(answer: str) -> bool:
    if answer.count("```") % 2:
        return True
    if len(answer) < _MIN_PROSE_CHARACTERS or "```" in answer:
        return False
    return not _SENTENCE_END.search(answer[-8:]) and answer[-1:].isalpha()


def _find_json_faults(question: str, answer: str) -> list[str]:
    try:
        fields: Any = json.loads(answer)
    except ValueError:
        return []
    if not isinstance(fields, dict):
        return []
    values = list(fields.values())
    faults = []
    if not values or any(value in (None, "") for value in values):
        faults.append("incomplete")
    if any(isinstance(value, str) and value not in question for value in values):
        faults.append("inconsistent")
    return faults
