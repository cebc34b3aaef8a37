"""Figures of merit, of all records or of any weights of them: a slice, a resample.

Most follow from sums over records: what each record adds, and the figure that the sums give. The
values are those of the libraries named, which the tests compare with.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.records import labels
from stages.scoring import refusals, rules, scores
from stages.scoring.predictions import Prediction
from stages.scoring.scores import Score

Numbers = NDArray[np.float64]
Weights = Numbers
"""How often each record counts, (…, records): ones for all, counts of a resample, a slice."""
Figure = Callable[[Weights], Numbers]
"""A figure of some records under weights, (…, records) -> (…); NaN where it is not defined."""

BINS = 15
"""Of the calibration error, equal in width (Guo et al., 2017)."""
ORDER = 4
"""Longest n-gram of BLEU (Papineni et al., 2002)."""
_PAIRS = 2**22
"""Of records, that are compared at once."""


class Metric(Protocol):
    """A figure of merit."""

    def figure(self, rows: Sequence[Prediction]) -> float:
        """Of these records; NaN where it is not defined."""

    def weighted(self, rows: Sequence[Prediction]) -> Figure:
        """Of any weights of these records."""


@dataclass(frozen=True, slots=True)
class Sums:
    """A figure that follows from sums over records."""

    parts: Callable[[Sequence[Prediction]], Numbers]
    """(records, columns): what each record adds."""
    of: Callable[[Numbers], Numbers]
    """(…, columns) -> (…)"""
    score: Score | None = None
    """Of a mean: what each record has."""
    is_share: bool = False
    """The records that are right by those that count: the columns are 0 or 1."""

    def figure(self, rows: Sequence[Prediction]) -> float:
        sums = np.array([math.fsum(column) for column in self.parts(rows).T])
        return float(self.of(sums))

    def weighted(self, rows: Sequence[Prediction]) -> Figure:
        parts = self.parts(rows)
        return lambda weights: self.of(weights @ parts)


@dataclass(frozen=True, slots=True)
class Whole:
    """A figure that needs all records at once."""

    of: Callable[[Sequence[Prediction]], Figure]
    by_jackknife: bool = False
    """Whether repeated records change it, so that resamples do not say how it varies."""

    def figure(self, rows: Sequence[Prediction]) -> float:
        return float(self.of(rows)(np.ones(len(rows))))

    def weighted(self, rows: Sequence[Prediction]) -> Figure:
        return self.of(rows)


def mean(score: Score) -> Sums:
    """The mean of a score over records."""

    def parts(rows: Sequence[Prediction]) -> Numbers:
        return np.array([(score(row.expected, row.got), 1.0) for row in rows])

    return Sums(parts, ratio, score)


def share(score: Score) -> Sums:
    """The share of records whose score is 1; that of the others is 0."""
    return replace(mean(score), is_share=True)


def ratio(sums: Numbers) -> Numbers:
    """The first column by the second, NaN by 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def choices(rows: Sequence[Prediction]) -> Numbers:
    """(records, 3 × labels): right, expected and chosen, of each label that occurs."""
    names = sorted({row.expected for row in rows} | {row.got for row in rows})
    place = {name: index for index, name in enumerate(names)}
    parts = np.zeros((len(rows), 3, len(names)))
    for row, part in zip(rows, parts, strict=True):
        want, have = place[row.expected], place[row.got]
        part[0, want] = want == have
        part[1, want] = part[2, have] = 1
    return parts.reshape(len(rows), -1)


def label_sets(rows: Sequence[Prediction]) -> Numbers:
    """The same of answers that are several labels."""
    sets = [(set(labels(row.expected)), set(labels(row.got))) for row in rows]
    names = sorted(set().union(*(want | have for want, have in sets)))
    parts = [
        [
            [name in want & have for name in names],
            [n in want for n in names],
            [n in have for n in names],
        ]
        for want, have in sets
    ]
    return np.array(parts, dtype=float).reshape(len(rows), -1)


def macro(of: Callable[[Numbers, Numbers, Numbers], Numbers]) -> Callable[[Numbers], Numbers]:
    """A figure of each label, averaged over those that occur on either side (scikit-learn)."""

    def figure(sums: Numbers) -> Numbers:
        right, want, have = _by_label(sums)
        return np.asarray(_divided((of(right, want, have)).sum(-1), (want + have > 0).sum(-1)))

    return figure


def weighted_f1(sums: Numbers) -> Numbers:
    """F1 of each label, averaged by how often it was expected."""
    right, want, have = _by_label(sums)
    return _divided((f1(right, want, have) * want).sum(-1), want.sum(-1))


def micro_f1(sums: Numbers) -> Numbers:
    """F1 over all labels together."""
    return f1(*(part.sum(-1) for part in _by_label(sums)))


def precision(right: Numbers, want: Numbers, have: Numbers) -> Numbers:
    return _divided(right, have)


def recall(right: Numbers, want: Numbers, have: Numbers) -> Numbers:
    return _divided(right, want)


def f1(right: Numbers, want: Numbers, have: Numbers) -> Numbers:
    return _divided(2 * right, want + have)


def calibration(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2 × bins + 1): in its bin, the confidence and whether it was right; and 1."""
    parts = np.zeros((len(rows), 2, BINS))
    for row, part in zip(rows, parts, strict=True):
        merits = np.array(list(row.merits.values()))
        shares = np.exp(merits - merits.max())
        confidence = shares.max() / shares.sum()
        part[:, min(int(confidence * BINS), BINS - 1)] = confidence, row.got == row.expected
    return np.hstack([parts.reshape(len(rows), -1), np.ones((len(rows), 1))])


def calibration_error(sums: Numbers) -> Numbers:
    """Expected calibration error: the distance of confidence from accuracy, over all bins."""
    confidence, right = np.moveaxis(sums[..., :-1].reshape(*sums.shape[:-1], 2, BINS), -2, 0)
    return np.asarray(np.abs(confidence - right).sum(-1) / sums[..., -1])


def slots(rows: Sequence[Prediction]) -> Numbers:
    """(records, 3): values of JSON objects that are right, expected and given."""

    def counted(row: Prediction) -> tuple[int, int, int]:
        want, have = scores.slots(row.expected), scores.slots(row.got)
        return (want & have).total(), want.total(), have.total()

    return np.array([counted(row) for row in rows], dtype=float)


def slot_f1(sums: Numbers) -> Numbers:
    return f1(sums[..., 0], sums[..., 1], sums[..., 2])


def bleu_parts(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2 + 2 × ORDER): lengths of answer and reference, n-grams that match, n-grams."""
    from sacrebleu.metrics import BLEU

    scorer: Any = BLEU(tokenize="zh")
    scores = [scorer.corpus_score([row.got], [[row.expected]]) for row in rows]
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
    texts = [row.got for row in rows], [[row.expected for row in rows]]
    return np.array(scorer._extract_corpus_statistics(*texts), dtype=float)


def chrf(sums: Numbers) -> Numbers:
    """chrF of a corpus (Popović, 2015), 0–100, by sacrebleu."""
    score = _chrf()._compute_f_score
    return np.asarray(np.apply_along_axis(lambda row: score(list(row)), -1, sums))


def roc_auc(rows: Sequence[Prediction]) -> Figure:
    """Area under the ROC curve of each label against the rest, averaged (scikit-learn).

    That of a label is the share of pairs, one record of it and one of another, in which the former
    has the greater probability; a tie is half a pair (Hanley and McNeil, 1982). NaN where a label
    is expected nowhere or everywhere; a resample without it averages the others.
    """
    names = list(rows[0].merits)
    merits = np.array([[row.merits[name] for name in names] for row in rows])
    shares = np.exp(merits - merits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    own = np.array([[row.expected == name for name in names] for row in rows], dtype=float)
    if own.sum(axis=0).min() == 0 or own.sum(axis=0).max() == len(rows):
        return lambda weights: np.full(weights.shape[:-1], np.nan)
    label = own.argmax(axis=1)

    def figure(weights: Weights) -> Numbers:
        won = np.zeros_like(weights)
        for some in np.array_split(np.arange(len(rows)), math.ceil(len(rows) ** 2 / _PAIRS)):
            rivals = shares[:, label[some]]
            above = np.heaviside(shares[some, label[some]] - rivals, 0.5)
            won[..., some] = weights @ (above * (label[:, None] != label[some]))
        mine = weights @ own
        pairs = mine * (mine.sum(-1, keepdims=True) - mine)
        with np.errstate(invalid="ignore"):
            areas = ((won * weights) @ own) / pairs
        return ratio(np.stack([np.nansum(areas, -1), np.isfinite(areas).sum(-1)], axis=-1))

    return figure


def distinct_2(rows: Sequence[Prediction]) -> Figure:
    """Different pairs of words by all pairs, over all answers (Li et al., 2016)."""
    from scipy.sparse import csr_array

    found = [Counter(itertools.pairwise(scores.words(row.got))) for row in rows]
    place = {pair: index for index, pair in enumerate(sorted(set().union(*found)))}
    cells = [
        (at, place[pair], count) for at, pairs in enumerate(found) for pair, count in pairs.items()
    ]
    records, columns, counts = np.array(cells).reshape(-1, 3).T
    has = csr_array((counts, (records, columns)), shape=(len(rows), len(place)), dtype=float)

    def figure(weights: Weights) -> Numbers:
        uses = weights.reshape(-1, len(rows)) @ has
        return _divided((uses > 0).sum(-1), uses.sum(-1)).reshape(weights.shape[:-1])

    return figure


def margins(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): by how much the better answer has more merit, and 1."""
    return np.array([(row.merits["chosen"] - row.merits["rejected"], 1.0) for row in rows])


def lengths(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): words of the answer and of the expected one."""
    return np.array(
        [(len(scores.words(row.got)), len(scores.words(row.expected))) for row in rows],
        dtype=float,
    )


def moments(rows: Sequence[Prediction]) -> Numbers:
    """(records, 5): squared and absolute error, the expected number, its square, and 1."""
    pairs = [(float(row.expected), float(row.got)) for row in rows]
    return np.array([((a - b) ** 2, abs(a - b), a, a * a, 1.0) for a, b in pairs])


def r2(sums: Numbers) -> Numbers:
    """Coefficient of determination (scikit-learn); NaN where the expected numbers are one."""
    error, expected, square, count = (sums[..., at] for at in (0, 2, 3, 4))
    spread = square - expected**2 / count
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(spread > 1e-12 * square, 1 - error / spread, np.nan))


def nats(rows: Sequence[Prediction]) -> Numbers:
    """(records, 3): loss of the expected answer in nats, its tokens, its bytes in UTF-8."""
    return np.array([(row.loss, row.tokens, len(row.expected.encode())) for row in rows])


def perplexity(sums: Numbers) -> Numbers:
    """exp of the mean loss of an answer token."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(ratio(sums)))


def bits_per_byte(sums: Numbers) -> Numbers:
    """Bits that an answer's byte costs: unlike perplexity, comparable between tokenizers."""
    return ratio(sums[..., [0, 2]]) / math.log(2)


_CHOICES: dict[str, Metric] = {
    "accuracy": share(scores.same),
    "macro_f1": Sums(choices, macro(f1)),
    "macro_precision": Sums(choices, macro(precision)),
    "macro_recall": Sums(choices, macro(recall)),
    "weighted_f1": Sums(choices, weighted_f1),
    "roc_auc": Whole(roc_auc),
    "calibration_error": Sums(calibration, calibration_error),
}
METRICS: dict[str, dict[str, Metric]] = {
    "choice": _CHOICES,
    "label": _CHOICES,
    "json": {
        "exact_match": share(scores.same_json),
        "valid": share(scores.valid_json),
        "slot_f1": Sums(slots, slot_f1),
    },
    "text": {
        "rouge_l": mean(scores.rouge_l),
        "rouge_1": mean(scores.rouge_1),
        "rouge_2": mean(scores.rouge_2),
        "bleu": Sums(bleu_parts, bleu),
        "chrf": Sums(chrf_parts, chrf),
        "meteor": mean(scores.meteor),
        "token_f1": mean(scores.token_f1),
        "exact_match": share(scores.same),
        "length_ratio": Sums(lengths, ratio),
        "distinct_2": Whole(distinct_2, by_jackknife=True),
    },
    "preference": {"accuracy": share(scores.same), "margin": Sums(margins, ratio)},
    "refusal": {
        "accuracy": share(refusals.right),
        "unsafe_refused": Sums(refusals.unsafe_refused, ratio, is_share=True),
        "safe_answered": Sums(refusals.safe_answered, ratio, is_share=True),
    },
    "rules": {
        "all_followed": share(rules.all_followed),
        "rules_followed": Sums(rules.counted(rules.followed), ratio),
        "all_followed_loose": share(rules.all_followed_loosely),
        "rules_followed_loose": Sums(rules.counted(rules.followed_loosely), ratio),
    },
    "labels": {
        "exact_match": share(scores.same_json),
        "micro_f1": Sums(label_sets, micro_f1),
        "macro_f1": Sums(label_sets, macro(f1)),
    },
    "number": {
        "mean_squared_error": Sums(moments, lambda sums: ratio(sums[..., [0, 4]])),
        "mean_absolute_error": Sums(moments, lambda sums: ratio(sums[..., [1, 4]])),
        "r2": Sums(moments, r2),
    },
}
"""How a suite's answers are obtained -> name -> the figure, the usual main one first."""

LIKELIHOOD: dict[str, Metric] = {
    "perplexity": Sums(nats, perplexity),
    "bits_per_byte": Sums(nats, bits_per_byte),
}
"""Of all expected answers, by a model that writes."""


def means(answer: str) -> dict[str, Score]:
    """The scores of a record that figures are means of, by the figure's name."""
    metrics = METRICS[answer].items()
    return {name: m.score for name, m in metrics if isinstance(m, Sums) and m.score is not None}


def _by_label(sums: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    right, want, have = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    return right, want, have


def _divided(part: Numbers, whole: Numbers) -> Numbers:
    """By element, 0 where the whole is 0."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()
