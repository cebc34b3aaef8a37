"""How right a single answer is: what was expected and what came, 0 to 1."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from typing import Any

Score = Callable[[str, str], float]

INVALID = object()
"""Stands for the value of what is no JSON."""
DEEPEST = 200
"""Objects and lists within each other: no answer needs more, and Python's stack holds few more."""
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}

_WORD_OR_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff]+")


def same(reference: str, prediction: str) -> float:
    """1 where two texts are equal."""
    return float(reference == prediction)


def same_json(reference: str, prediction: str) -> float:
    """1 where two texts are JSON of one value."""
    want, have = parsed(reference), parsed(prediction)
    return float(want is not INVALID and canonical(want) == canonical(have))


def valid_json(reference: str, prediction: str) -> float:
    """1 where the answer parses."""
    return float(parsed(prediction) is not INVALID)


def closeness(reference: str, prediction: str) -> float:
    """1 for the same number, less with every unit between: 1 / (1 + error)."""
    return 1 / (1 + abs(float(reference) - float(prediction)))


def rouge_1(reference: str, prediction: str) -> float:
    """F1 of words, Chinese by characters (rouge-score)."""
    return _rouge("rouge1", reference, prediction)


def rouge_2(reference: str, prediction: str) -> float:
    """F1 of pairs of words, Chinese by characters (rouge-score)."""
    return _rouge("rouge2", reference, prediction)


def rouge_l(reference: str, prediction: str) -> float:
    """F1 of the longest common subsequence of words, or of Chinese characters (rouge-score)."""
    return _rouge("rougeL", reference, prediction)


def token_f1(reference: str, prediction: str) -> float:
    """F1 of the words of both as multisets, as for SQuAD (Rajpurkar et al., 2016)."""
    want, have = Counter(words(reference)), Counter(words(prediction))
    both = (want & have).total()
    return 2 * both / (want.total() + have.total()) if both else float(want == have)


def meteor(reference: str, prediction: str) -> float:
    """METEOR (Banerjee and Lavie, 2005) by NLTK: words and their stems, Chinese by characters.

    Without WordNet's synonyms, which are no package: figures are a little lower than with them.
    """
    from nltk.translate.meteor_score import single_meteor_score

    synonyms: Any = _NoSynonyms()
    return float(single_meteor_score(words(reference), words(prediction), wordnet=synonyms))


def words(text: str) -> list[str]:
    """Words of alphabets and single Chinese characters, in lower case."""
    return _WORD_OR_HAN.findall(text.lower())


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def slots(text: str) -> Counter[tuple[str, str]]:
    """(path, value) of every value of a JSON text that holds no other; none of what is no JSON."""
    value = parsed(text)
    return Counter() if value is INVALID else Counter(leaves(canonical(value), ""))


def parsed(answer: str) -> Any:
    """The value of a JSON text, or INVALID; nested deeper than DEEPEST, it is none."""
    if is_deep(answer):
        return INVALID
    try:
        return DECODER.decode(answer)
    except (ValueError, RecursionError):
        return INVALID


def is_deep(text: str) -> bool:
    """Whether brackets stand within each other more than DEEPEST times."""
    depths = accumulate((_STEPS.get(character, 0) for character in text), initial=0)
    return max(depths) > DEEPEST


def leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(path, value) of every value that holds no other; empty lists and objects are such."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{index}")
    else:
        yield path, str(value)


def canonical(value: Any) -> Any:
    """Numbers by value, and none of them equal to true or false, as Python has it."""
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [canonical(inner) for inner in value]
    if isinstance(value, bool):
        return type(value), value
    return float(value) if isinstance(value, int) and abs(value) < 2**53 else value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _rouge(kind: str, reference: str, prediction: str) -> float:
    return float(_scorer(kind).score(reference, prediction)[kind].fmeasure)


@cache
def _scorer(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], tokenizer=_Tokenizer())


class _Tokenizer:
    """For rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


class _NoSynonyms:
    """For METEOR, in WordNet's place."""

    def synsets(self, word: str) -> list[Any]:
        return []


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
"""Of JSON as the standard has it, without NaN and infinities."""
