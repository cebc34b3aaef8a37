"""Corpus metrics of generated texts: BLEU and chrF by sacrebleu, length and diversity of words."""

import itertools
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from lockstep.metrics.aggregation import Numbers, WeightedMetric, Weights, divide_or_zero
from lockstep.metrics.scores import split_words
from lockstep.predictions import Prediction

ORDER = 4
"""Longest n-gram of BLEU (Papineni et al., 2002)."""


def count_bleu_ngrams(predictions: Sequence[Prediction]) -> Numbers:
    """Return the summands of BLEU, (records, 2 + 2 × ORDER).

    They are the lengths of prediction and reference in tokens, and for each n the number of
    n-grams that match and of all n-grams of the prediction. The tokenizer is sacrebleu's `zh`.
    """
    from sacrebleu.metrics import BLEU

    scorer: Any = BLEU(tokenize="zh")
    scores = [scorer.corpus_score([row.prediction], [[row.reference]]) for row in predictions]
    return np.array([(s.sys_len, s.ref_len, *s.counts, *s.totals) for s in scores], dtype=float)


def bleu(sums: Numbers) -> Numbers:
    """Return the BLEU of a corpus, 0 to 100, with sacrebleu's smoothing `exp`."""
    from sacrebleu.metrics import BLEU

    def compute(row: Numbers) -> float:
        length, reference_length, *ngrams = (int(number) for number in row)
        matches, totals = ngrams[:ORDER], ngrams[ORDER:]
        score = BLEU.compute_bleu(matches, totals, length, reference_length, smooth_method="exp")
        return float(score.score)

    return np.asarray(np.apply_along_axis(compute, -1, sums))


def count_chrf_ngrams(predictions: Sequence[Prediction]) -> Numbers:
    """Return the summands of chrF, (records, 18).

    They are, for each n from 1 to 6, the number of n-grams of characters in prediction and
    reference, and of those that match.
    """
    texts = [row.prediction for row in predictions], [[row.reference for row in predictions]]
    return np.array(_get_chrf()._extract_corpus_statistics(*texts), dtype=float)


def chrf(sums: Numbers) -> Numbers:
    """Return the chrF of a corpus (Popović, 2015), 0 to 100, by sacrebleu."""
    compute_score = _get_chrf()._compute_f_score
    return np.asarray(np.apply_along_axis(lambda row: compute_score(list(row)), -1, sums))


def distinct_2(predictions: Sequence[Prediction]) -> WeightedMetric:
    """Return distinct-2 (Li et al., 2016): the share of distinct pairs among word pairs."""
    from scipy.sparse import csr_array

    counts = [Counter(itertools.pairwise(split_words(row.prediction))) for row in predictions]
    columns = {pair: column for column, pair in enumerate(sorted(set().union(*counts)))}
    cells = [
        (record, columns[pair], count)
        for record, pairs in enumerate(counts)
        for pair, count in pairs.items()
    ]
    rows, places, values = np.array(cells).reshape(-1, 3).T
    shape = len(predictions), len(columns)
    pair_counts = csr_array((values, (rows, places)), shape=shape, dtype=float)

    def compute(weights: Weights) -> Numbers:
        uses = weights.reshape(-1, len(predictions)) @ pair_counts
        distinct = divide_or_zero((uses > 0).sum(-1), uses.sum(-1))
        return distinct.reshape(weights.shape[:-1])

    return compute


def count_words(predictions: Sequence[Prediction]) -> Numbers:
    """Count the words of predictions and of references, (records, 2)."""
    return np.array(
        [
            (len(split_words(row.prediction)), len(split_words(row.reference)))
            for row in predictions
        ],
        dtype=float,
    )


@cache
def _get_chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()
