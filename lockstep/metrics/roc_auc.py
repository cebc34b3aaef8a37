"""Area under the ROC curve of labels, with the influence of each record on it."""

import math
from collections.abc import Sequence

import numpy as np

from lockstep.metrics.aggregation import Influences, Numbers
from lockstep.metrics.option_probabilities import compute_option_probabilities
from lockstep.predictions import Prediction


def tabulate_probabilities(predictions: Sequence[Prediction]) -> Numbers:
    """Return the softmax of the option scores and the reference, (records, labels + 1).

    The last column is the column of the reference, -1 if it is no option.
    """
    labels, probabilities = compute_option_probabilities(predictions)
    columns = {label: column for column, label in enumerate(labels)}
    references = [columns.get(row.reference, -1) for row in predictions]
    return np.column_stack([probabilities, references])


def measure_roc_auc(table: Numbers) -> Influences:
    """Return the mean over labels of the area under the ROC curve, each label against the rest.

    This is scikit-learn's `roc_auc_score` with `multi_class="ovr"`. For each label, records with
    this reference are paired with records without it. The area is the share of pairs in which the
    record with the label has the higher probability of it; a tie counts as half a pair (Hanley and
    McNeil, 1982). The result is NaN if a label is the reference of no record or of all records.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988), summed over labels by record.
    """
    references = table[:, -1].astype(int)
    records, labels = len(table), table.shape[1] - 1
    support = np.bincount(references[references >= 0], minlength=labels)
    if support.min() == 0 or support.max() == records:
        return Influences(math.nan, np.full(records, math.nan))
    areas, deviations = np.zeros(labels), np.zeros(records)
    for label in range(labels):
        is_positive, scores = references == label, table[:, label]
        won, lost = _compare_pairs(scores[is_positive], scores[~is_positive])
        areas[label] = won.sum() / (len(won) * len(lost))
        deviations[is_positive] += _scale_deviations(won / len(lost))
        deviations[~is_positive] += _scale_deviations(lost / len(won))
    return Influences(float(areas.sum() / labels), deviations / labels)


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
