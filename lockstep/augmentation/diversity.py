"""How varied a set of texts is."""

import re
from collections.abc import Sequence
from itertools import pairwise

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+|[^\w\s]")
_SAMPLE = 100
"""Texts that self-BLEU compares, evenly spread: its cost is quadratic."""


def describe(texts: Sequence[str]) -> dict[str, float]:
    """distinct-1 and -2 (Li et al., 2016), higher is more varied; self-BLEU (Zhu et al., 2018) of
    100 texts, lower is more varied. A Chinese character is a word."""
    split = [_WORD.findall(text.casefold()) for text in texts]
    words = [word for text in split for word in text]
    pairs = [pair for text in split for pair in pairwise(text)]
    return {
        "distinct_1": round(len(set(words)) / max(1, len(words)), 4),
        "distinct_2": round(len(set(pairs)) / max(1, len(pairs)), 4),
        "self_bleu": round(_self_bleu([" ".join(text) for text in split]), 2),
    }


def _self_bleu(texts: list[str]) -> float:
    from sacrebleu.metrics import BLEU

    count = min(_SAMPLE, len(texts))
    sample = [texts[place * len(texts) // count] for place in range(count)]
    if count < 2:
        return 0.0
    bleu = BLEU(tokenize="none", effective_order=True)
    scores = [
        bleu.sentence_score(text, [*sample[:place], *sample[place + 1 :]]).score
        for place, text in enumerate(sample)
    ]
    return sum(scores) / count
