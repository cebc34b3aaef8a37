"""Figures of merit for one suite and for one answer, by the library that defines them."""

import json
import re
from collections.abc import Sequence
from functools import cache
from statistics import fmean as mean
from typing import Any

Figures = dict[str, float]

_WORD_OR_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff]+")


def choice(expected: Sequence[str], got: Sequence[str]) -> Figures:
    """Accuracy, and F1 averaged over the labels that occur on either side (scikit-learn)."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(expected, got)),
        "macro_f1": float(f1_score(expected, got, average="macro", zero_division=0)),
    }


def json_object(expected: Sequence[str], got: Sequence[str]) -> Figures:
    """Shares of answers that parse as JSON, and that equal the expected value."""
    return {
        "exact_match": mean(map(same_json, expected, got)),
        "valid": mean(_parsed(have) is not _INVALID for have in got),
    }


def text(expected: Sequence[str], got: Sequence[str]) -> Figures:
    """ROUGE-L F1 (rouge-score, Chinese by characters), BLEU 0–100 (sacrebleu, tokenizer zh)."""
    from sacrebleu.metrics import BLEU

    return {
        "rouge_l": mean(map(rouge_l, expected, got)),
        "bleu": float(BLEU(tokenize="zh").corpus_score(list(got), [list(expected)]).score),
        "exact_match": mean(map(same, expected, got)),
    }


def same(expected: str, got: str) -> float:
    """1 for the same text, otherwise 0."""
    return float(expected == got)


def same_json(expected: str, got: str) -> float:
    """1 for the same JSON value, however it is spaced and sorted, otherwise 0."""
    want, have = _parsed(expected), _parsed(got)
    return float(want is not _INVALID and _canonical(want) == _canonical(have))


def rouge_l(expected: str, got: str) -> float:
    """F1 of the longest common subsequence of words, or of Chinese characters (rouge-score)."""
    return float(_rouge().score(expected, got)["rougeL"].fmeasure)


def confusion(expected: Sequence[str], got: Sequence[str]) -> dict[str, dict[str, int]]:
    """expected label -> chosen label -> count, without zeros."""
    table: dict[str, dict[str, int]] = {}
    for want, have in sorted(zip(expected, got, strict=True)):
        row = table.setdefault(want, {})
        row[have] = row.get(have, 0) + 1
    return table


_INVALID = object()


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_Tokenizer())


def _parsed(answer: str) -> Any:
    try:
        return json.loads(answer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _INVALID


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _canonical(value: Any) -> Any:
    """Numbers by value, and none of them equal to true or false, as Python has it."""
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return (type(value), value) if isinstance(value, bool) else value


class _Tokenizer:
    """Words of alphabets and single Chinese characters, for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD_OR_HAN.findall(text.lower())
