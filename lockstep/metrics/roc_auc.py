"""Area under the ROC curve of labels, with the influence of each record on it."""

import math
from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from lockstep.metrics.aggregation import Influences, Numbers
from lockstep.predictions import Prediction


def measure_roc_auc(predictions: Sequence[Prediction]) -> Influences:
    """Return the mean over labels of the area under the ROC curve, each label against the rest.

    This is scikit-learn's `roc_auc_score` with `multi_class="ovr"`. For each label, records with
    this reference are paired with records without it. The area is the share of pairs in which the
    record with the label has the higher probability of it; a tie counts as half a pair (Hanley and
    McNeil, 1982). The result is NaN if a label is the reference of no record or of all records.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988), summed over labels by record.
    """
    labels = [*predictions[0].option_scores]
    references = [row.reference for row in predictions]
    if not {*labels} <= {*references} or len(labels) < 2:
        return Influences(math.nan, np.full(len(predictions), math.nan))
    probabilities = _compute_probabilities(predictions, labels)
    columns = {label: column for column, label in enumerate(labels)}
    reference = np.array([columns.get(label, -1) for label in references])
    areas, deviations = np.zeros(len(labels)), np.zeros(len(predictions))
    for column in range(len(labels)):
        is_positive = reference == column
        if is_positive.all():
            return Influences(math.nan, np.full(len(predictions), math.nan))
        scores = probabilities[:, column]
        won, lost = _compare_pairs(scores[is_positive], scores[~is_positive])
        areas[column] = won.sum() / (len(won) * len(lost))
        deviations[is_positive] += _scale_deviations(won / len(lost))
        deviations[~is_positive] += _scale_deviations(lost / len(won))
    return Influences(float(areas.sum() / len(labels)), deviations / len(labels))


def _compute_probabilities(predictions: Sequence[Prediction], labels: Sequence[str]) -> Numbers:
    """Return the softmax of the option scores, (records, labels)."""
    get_scores = itemgetter(*labels)
    option_scores = np.array([get_scores(row.option_scores) for row in predictions])
    probabilities = np.exp(option_scores - option_scores.max(axis=1, keepdims=True))
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))


def _compare_pairs(positives: Numbers, negatives: Numbers) -> tuple[Numbers, Numbers]:
    """Return how many negatives each positive beats, and how many positives beat each negative.

    A tie counts as half. Sorting takes the place of a comparison of all pairs (Sun and Xu, 2014).
    """
    order = positives.argsort()
    below = np.searchsorted(positives, negatives, side="left", sorter=order)
    not_above = np.searchsorted(positives, negatives, side="right", sorter=order)
    steps = np.bincount(below, minlength=len(positives) + 1)
    steps += np.bincount(not_above, minlength=len(positives) + 1)
    won = np.empty(len(positives))
    won[order] = steps.cumsum()[:-1] / 2
    return won, len(positives) - (below + not_above) / 2


def _scale_deviations(shares: Numbers) -> Numbers:
    """Return deviations from the mean whose squares sum to the variance of the mean."""
    records = len(shares)
    return (shares - shares.mean()) / math.sqrt(max(1, records * (records - 1)))
