"""Figures of answers that are labels, as scikit-learn defines them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lockstep.metrics.aggregation import Figure, Numbers, Weights, divided, ratio
from lockstep.predictions import Prediction
from lockstep.records import parse_labels

BINS = 15
"""Of the calibration error, equal in width (Guo et al., 2017)."""
OTHER = "another text"
"""What a confusion table calls a text that is no label which any record expects."""
_PAIRS = 2**22
"""Of records, that are compared at once."""

ByLabel = Callable[[Numbers, Numbers, Numbers], Numbers]
"""A figure of each label by how often it is right, expected and chosen."""


def choices(rows: Sequence[Prediction]) -> Numbers:
    """(records, 3 × labels): right, expected and chosen, of each label that occurs."""
    return _marked(rows, {row.reference for row in rows} | {row.prediction for row in rows})


def written(rows: Sequence[Prediction]) -> Numbers:
    """The same of labels that a model wrote, of each label that is expected."""
    bare = [_bare(row) for row in rows]
    return _marked(bare, {row.reference for row in bare})


def as_labels(rows: Sequence[Prediction]) -> list[Prediction]:
    """What a model wrote as the label that it is, OTHER where it is none that is expected."""
    bare = [_bare(row) for row in rows]
    known = {row.reference for row in bare}
    return [row if row.prediction in known else replace(row, prediction=OTHER) for row in bare]


def same(reference: str, prediction: str) -> float:
    """1 where two labels are equal, but for space around them."""
    return float(reference.strip() == prediction.strip())


def label_sets(rows: Sequence[Prediction]) -> Numbers:
    """The same of answers that are several labels."""
    sets = [(set(parse_labels(row.reference)), set(parse_labels(row.prediction))) for row in rows]
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


def macro(of: ByLabel, *, of_expected: bool = False) -> Callable[[Numbers], Numbers]:
    """A figure of each label, averaged over those that occur on either side (scikit-learn), or over
    those that are expected (its `labels`): what a model writes instead may be anything."""

    def figure(sums: Numbers) -> Numbers:
        right, want, have = _by_label(sums)
        averaged = want if of_expected else want + have
        return divided(of(right, want, have).sum(-1), (averaged > 0).sum(-1))

    return figure


def weighted_f1(sums: Numbers) -> Numbers:
    """F1 of each label, averaged by how often it was expected."""
    right, want, have = _by_label(sums)
    return divided((f1(right, want, have) * want).sum(-1), want.sum(-1))


def micro_f1(sums: Numbers) -> Numbers:
    """F1 over all labels together."""
    return f1(*(part.sum(-1) for part in _by_label(sums)))


def precision(right: Numbers, want: Numbers, have: Numbers) -> Numbers:
    return divided(right, have)


def recall(right: Numbers, want: Numbers, have: Numbers) -> Numbers:
    return divided(right, want)


def f1(right: Numbers, want: Numbers, have: Numbers) -> Numbers:
    return divided(2 * right, want + have)


def calibration(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2 × bins + 1): in its bin, the confidence and whether it was right; and 1."""
    parts = np.zeros((len(rows), 2, BINS))
    for row, part in zip(rows, parts, strict=True):
        option_scores = np.array(list(row.option_scores.values()))
        shares = np.exp(option_scores - option_scores.max())
        confidence = shares.max() / shares.sum()
        part[:, min(int(confidence * BINS), BINS - 1)] = confidence, row.prediction == row.reference
    return np.hstack([parts.reshape(len(rows), -1), np.ones((len(rows), 1))])


def calibration_error(sums: Numbers) -> Numbers:
    """Expected calibration error: the distance of confidence from accuracy, over all bins."""
    confidence, right = np.moveaxis(sums[..., :-1].reshape(*sums.shape[:-1], 2, BINS), -2, 0)
    return np.asarray(np.abs(confidence - right).sum(-1) / sums[..., -1])


def roc_auc(rows: Sequence[Prediction]) -> Figure:
    """Area under the ROC curve of each label against the rest, averaged (scikit-learn).

    That of a label is the share of pairs, one record of it and one of another, in which the former
    has the greater probability; a tie is half a pair (Hanley and McNeil, 1982). NaN where a label
    is expected nowhere or everywhere; a resample without it averages the others.
    """
    names = list(rows[0].option_scores)
    option_scores = np.array([[row.option_scores[name] for name in names] for row in rows])
    shares = np.exp(option_scores - option_scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    own = np.array([[row.reference == name for name in names] for row in rows], dtype=float)
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


def _bare(row: Prediction) -> Prediction:
    return replace(row, reference=row.reference.strip(), prediction=row.prediction.strip())


def _marked(rows: Sequence[Prediction], labels: set[str]) -> Numbers:
    place = {name: index for index, name in enumerate(sorted(labels))}
    parts = np.zeros((len(rows), 3, len(place)))
    for row, part in zip(rows, parts, strict=True):
        part[0, place[row.reference]] = row.reference == row.prediction
        part[1, place[row.reference]] = 1
        if row.prediction in place:
            part[2, place[row.prediction]] = 1
    return parts.reshape(len(rows), -1)


def _by_label(sums: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    right, want, have = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    return right, want, have
