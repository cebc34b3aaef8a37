"""The card of `augment`: counts of augmented records and the lexical diversity of the questions."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import regex

from lockstep.augmentation.augmented_records import Augmentation
from lockstep.data import data_card
from lockstep.records import Record

_WORD = regex.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+|[^\w\s]")
"""A Chinese character or kana, a word of an alphabet, or a punctuation mark."""
_SELF_BLEU_TEXTS = 100
"""Maximum number of texts, sampled evenly, that self-BLEU compares: its cost is quadratic."""


def describe_augmentation(
    parents: Sequence[Record], augmentation: Augmentation, train: Sequence[Record]
) -> dict[str, Any]:
    """Return the card of `train`, which has the parents and the augmented records."""
    return {
        "parents": len(parents),
        "children": len(augmentation.records),
        "methods": {
            name: dict(sorted(counts.items())) for name, counts in augmentation.counts.items()
        },
        "diversity": {
            "before": measure_diversity([record.question for record in parents]),
            "after": measure_diversity([record.question for record in train]),
        },
        "train": data_card.describe_records(data_card.compute_statistics(train)),
    }


def measure_diversity(texts: Sequence[str]) -> dict[str, float]:
    """Return distinct-1, distinct-2 and self-BLEU of the texts.

    Distinct-n (Li et al., 2016) is the share of different n-grams, 0 to 1; higher is more
    diverse. Self-BLEU (Zhu et al., 2018) is 0 to 100; lower is more diverse. Each Chinese
    character counts as a word.
    """
    tokenized = [_WORD.findall(text.casefold()) for text in texts]
    words = [word for text in tokenized for word in text]
    bigrams = [bigram for text in tokenized for bigram in pairwise(text)]
    return {
        "distinct_1": round(len(set(words)) / max(1, len(words)), 4),
        "distinct_2": round(len(set(bigrams)) / max(1, len(bigrams)), 4),
        "self_bleu": round(_compute_self_bleu([" ".join(text) for text in tokenized]), 2),
    }


def _compute_self_bleu(texts: Sequence[str]) -> float:
    """Return the mean BLEU of each sampled text against the others."""
    from sacrebleu.metrics import BLEU

    count = min(_SELF_BLEU_TEXTS, len(texts))
    sample = [texts[index * len(texts) // count] for index in range(count)]
    if count < 2:
        return 0.0
    bleu = BLEU(tokenize="none", effective_order=True)
    scores = [
        bleu.sentence_score(text, [*sample[:index], *sample[index + 1 :]]).score
        for index, text in enumerate(sample)
    ]
    return sum(scores) / count
