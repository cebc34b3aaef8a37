"""Figures of merit for one suite and for one answer, by the library that defines them."""

import json
import math
import re
from collections.abc import Sequence
from functools import cache
from statistics import fmean as mean
from typing import Any

from stages.records import labels

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


def preference(expected: Sequence[str], got: Sequence[str]) -> Figures:
    """Share of pairs of which the better answer was preferred."""
    return {"accuracy": mean(map(same, expected, got))}


def several(expected: Sequence[str], got: Sequence[str]) -> Figures:
    """Share of answers with all labels right, F1 over all labels and averaged by label."""
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import MultiLabelBinarizer

    sets = [labels(answer) for answer in (*expected, *got)]
    table = MultiLabelBinarizer().fit_transform(sets)
    want, have = table[: len(expected)], table[len(expected) :]
    return {
        "exact_match": mean(map(same_json, expected, got)),
        "micro_f1": float(f1_score(want, have, average="micro", zero_division=0)),
        "macro_f1": float(f1_score(want, have, average="macro", zero_division=0)),
    }


def number(expected: Sequence[str], got: Sequence[str]) -> Figures:
    """Mean squared and absolute error and, of two or more, R² (scikit-learn)."""
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    want, have = [float(one) for one in expected], [float(one) for one in got]
    figures = {
        "mean_squared_error": float(mean_squared_error(want, have)),
        "mean_absolute_error": float(mean_absolute_error(want, have)),
    }
    return figures | ({"r2": float(r2_score(want, have))} if len(want) > 1 else {})


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def closeness(expected: str, got: str) -> float:
    """1 for the same number, less with every unit between: 1 / (1 + error)."""
    return 1 / (1 + abs(float(expected) - float(got)))


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
