"""Score a single prediction against its reference, from 0 (wrong) to 1 (right)."""

import math
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

from lockstep.metrics.json_answers import INVALID, normalize, parse_json
from lockstep.segmentation import compose, split_characters_and_words

Score = Callable[[str, str], float]
"""Function of (reference, prediction) that returns a score from 0 to 1."""


def exact_match(reference: str, prediction: str) -> float:
    """Return 1 if the two texts are equal."""
    return float(reference == prediction)


def json_match(reference: str, prediction: str) -> float:
    """Return 1 if the two texts are JSON with the same value."""
    expected, actual = parse_json(reference), parse_json(prediction)
    return float(expected is not INVALID and normalize(expected) == normalize(actual))


def valid_json(reference: str, prediction: str) -> float:
    """Return 1 if the prediction is JSON."""
    return float(parse_json(prediction) is not INVALID)


def closeness(reference: str, prediction: str) -> float:
    """Return 1 / (1 + absolute error) of two numbers, 0 if the prediction is not a number."""
    if not is_number(prediction):
        return 0.0
    return 1 / (1 + abs(float(reference) - float(prediction)))


def valid_number(reference: str, prediction: str) -> float:
    """Return 1 if the prediction is a finite number."""
    return float(is_number(prediction))


def rouge_1(reference: str, prediction: str) -> float:
    """Return the F1 of words, or of Chinese characters (rouge-score)."""
    return _rouge("rouge1", reference, prediction)


def rouge_2(reference: str, prediction: str) -> float:
    """Return the F1 of pairs of words, or of Chinese characters (rouge-score)."""
    return _rouge("rouge2", reference, prediction)


def rouge_l(reference: str, prediction: str) -> float:
    """Return ROUGE-L: the F1 of the longest common subsequence of words (rouge-score)."""
    return _rouge("rougeL", reference, prediction)


def token_f1(reference: str, prediction: str) -> float:
    """Return the F1 of the two multisets of words, as for SQuAD (Rajpurkar et al., 2016)."""
    expected, actual = Counter(split_words(reference)), Counter(split_words(prediction))
    common = (expected & actual).total()
    if not common:
        return float(expected == actual)
    return 2 * common / (expected.total() + actual.total())


@cache  # slices and examples score the same pairs again
def meteor(reference: str, prediction: str) -> float:
    """Return METEOR (Banerjee and Lavie, 2005) by NLTK over words, stems and Chinese characters.

    WordNet's synonyms are not used, since no package contains them, so the metric is a little
    lower than with them.
    """
    from nltk.translate.meteor_score import single_meteor_score

    synonyms: Any = _NoSynonyms()
    words = split_words(reference), split_words(prediction)
    return float(single_meteor_score(*words, wordnet=synonyms))


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words and single Chinese and Japanese characters."""
    return split_characters_and_words(compose(text.lower()))


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@cache
def _rouge(kind: str, reference: str, prediction: str) -> float:
    return float(_rouge_scorer(kind).score(reference, prediction)[kind].fmeasure)


@cache
def _rouge_scorer(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], tokenizer=_Tokenizer())


class _Tokenizer:
    """Tokenizer for rouge-score that also splits Chinese."""

    def tokenize(self, text: str) -> list[str]:
        return split_words(text)


class _NoSynonyms:
    """Empty WordNet for METEOR."""

    def synsets(self, word: str) -> list[Any]:
        return []
