"""Cheap signals of a bad record: what each finds is written here, how strict in params.yaml."""

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, field_validator

from lockstep.data import language
from lockstep.params import Fraction, PositiveFloat, Section
from lockstep.records import Record

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+")
_ENDS = re.compile(r"[.!?。！？…:：;；)）\]】}》」』\"”'’`*|>~\d%]\s*$|```\s*$")
_LONG = 200
"""Characters from which an answer is prose that must end as prose ends."""
_FEW = 20
"""Words below which repetition and language say nothing."""


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

    @field_validator("length_ratio")
    @classmethod
    def _ordered(cls, ratio: list[float]) -> list[float]:
        if ratio[0] > ratio[1]:
            raise ValueError("the least must come before the greatest")
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


def faults(record: Record, limits: QualityParams) -> list[str]:
    """The signals that find a fault.

    repetitive, length_ratio, other_language: of answers of 20 words or more; copies_question:
    the answer is the question; truncated: prose of 200 characters that ends in mid-sentence, or
    an open code block; damaged: U+FFFD or an unfilled {{placeholder}}; incomplete: a JSON answer
    with a null or empty value; inconsistent: a JSON answer whose texts the question lacks.
    """
    question, answer = record.question, record.answer
    found = []
    words = answer.split() if answer.isascii() else _WORD.findall(answer)
    if len(words) >= _FEW:
        if 1 - len(set(words)) / len(words) > limits.max_repetition:
            found.append("repetitive")
        least, greatest = limits.length_ratio
        if question and not least <= len(answer) / len(question) <= greatest:
            found.append("length_ratio")
        if question and not language.alike(question, answer):
            found.append("other_language")
    if answer == question:
        found.append("copies_question")
    if _is_truncated(answer):
        found.append("truncated")
    if "\ufffd" in answer or "\ufffd" in question or "{{" in answer:
        found.append("damaged")
    if answer.startswith("{") and "tool_calls" not in record.messages[-1]:
        found += _slot_faults(question, answer)
    return found


def score(faults: Iterable[str]) -> float:
    """The share of the signals that found no fault."""
    return round(1 - len(list(faults)) / len(SIGNALS), 4)


def _is_truncated(answer: str) -> bool:
    if answer.count("```") % 2:
        return True
    if len(answer) < _LONG or "```" in answer:
        return False
    return not _ENDS.search(answer[-8:]) and answer[-1:].isalpha()


def _slot_faults(question: str, answer: str) -> list[str]:
    try:
        slots: Any = json.loads(answer)
    except ValueError:
        return []
    if not isinstance(slots, dict):
        return []
    values = list(slots.values())
    found = []
    if not values or any(value in (None, "") for value in values):
        found.append("incomplete")
    if any(isinstance(value, str) and value not in question for value in values):
        found.append("inconsistent")
    return found
