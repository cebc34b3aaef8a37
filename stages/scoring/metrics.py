"""Figures of merit for one suite, each computed by the library that defines it."""

import json
import re
from collections.abc import Sequence
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
    pairs = [(_parsed(want), _parsed(have)) for want, have in zip(expected, got, strict=True)]
    return {
        "exact_match": sum(want == have for want, have in pairs) / len(pairs),
        "valid": sum(have is not _INVALID for _, have in pairs) / len(pairs),
    }


def text(expected: Sequence[str], got: Sequence[str]) -> Figures:
    """ROUGE-L F1 (rouge-score, Chinese by characters), BLEU 0–100 (sacrebleu, tokenizer zh)."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    rouge = RougeScorer(["rougeL"], tokenizer=_Tokenizer())
    pairs = list(zip(expected, got, strict=True))
    return {
        "rouge_l": sum(rouge.score(want, have)["rougeL"].fmeasure for want, have in pairs)
        / len(pairs),
        "bleu": float(BLEU(tokenize="zh").corpus_score(list(got), [list(expected)]).score),
        "exact_match": sum(want == have for want, have in pairs) / len(pairs),
    }


def confusion(expected: Sequence[str], got: Sequence[str]) -> dict[str, dict[str, int]]:
    """expected label -> chosen label -> count, without zeros."""
    table: dict[str, dict[str, int]] = {}
    for want, have in sorted(zip(expected, got, strict=True)):
        row = table.setdefault(want, {})
        row[have] = row.get(have, 0) + 1
    return table


_INVALID = object()


def _parsed(answer: str) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return _INVALID


class _Tokenizer:
    """Words of alphabets and single Chinese characters, for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD_OR_HAN.findall(text.lower())
