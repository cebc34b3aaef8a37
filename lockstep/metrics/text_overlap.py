"""Figures of written texts: sacrebleu's, and counts of words."""

import itertools
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from lockstep.metrics import scores
from lockstep.metrics.aggregation import Figure, Numbers, Weights, divided
from lockstep.predictions import Prediction

ORDER = 4
"""Longest n-gram of BLEU (Papineni et al., 2002)."""


def bleu_parts(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2 + 2 × ORDER): lengths of answer and reference, n-grams that match, n-grams."""
    from sacrebleu.metrics import BLEU

    scorer: Any = BLEU(tokenize="zh")
    scores = [scorer.corpus_score([row.prediction], [[row.reference]]) for row in rows]
    return np.array([(s.sys_len, s.ref_len, *s.counts, *s.totals) for s in scores], dtype=float)


def bleu(sums: Numbers) -> Numbers:
    """BLEU of a corpus, 0–100, smoothed as sacrebleu does (exp)."""
    from sacrebleu.metrics import BLEU

    def one(row: Numbers) -> float:
        have, want, *grams = (int(number) for number in row)
        counts, totals = grams[:ORDER], grams[ORDER:]
        return float(BLEU.compute_bleu(counts, totals, have, want, smooth_method="exp").score)

    return np.asarray(np.apply_along_axis(one, -1, sums))


def chrf_parts(rows: Sequence[Prediction]) -> Numbers:
    """(records, 18): n-grams of characters of answer and reference, and those that match."""
    scorer = _chrf()
    texts = [row.prediction for row in rows], [[row.reference for row in rows]]
    return np.array(scorer._extract_corpus_statistics(*texts), dtype=float)


def chrf(sums: Numbers) -> Numbers:
    """chrF of a corpus (Popović, 2015), 0–100, by sacrebleu."""
    score = _chrf()._compute_f_score
    return np.asarray(np.apply_along_axis(lambda row: score(list(row)), -1, sums))


def distinct_2(rows: Sequence[Prediction]) -> Figure:
    """Different pairs of words by all pairs, over all answers (Li et al., 2016)."""
    from scipy.sparse import csr_array

    found = [Counter(itertools.pairwise(scores.split_words(row.prediction))) for row in rows]
    place = {pair: index for index, pair in enumerate(sorted(set().union(*found)))}
    cells = [
        (at, place[pair], count) for at, pairs in enumerate(found) for pair, count in pairs.items()
    ]
    records, columns, counts = np.array(cells).reshape(-1, 3).T
    has = csr_array((counts, (records, columns)), shape=(len(rows), len(place)), dtype=float)

    def figure(weights: Weights) -> Numbers:
        uses = weights.reshape(-1, len(rows)) @ has
        return divided((uses > 0).sum(-1), uses.sum(-1)).reshape(weights.shape[:-1])

    return figure


def lengths(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): words of the answer and of the expected one."""
    return np.array(
        [
            (len(scores.split_words(row.prediction)), len(scores.split_words(row.reference)))
            for row in rows
        ],
        dtype=float,
    )


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()
