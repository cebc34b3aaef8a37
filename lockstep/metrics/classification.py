"""Metrics of labels, as scikit-learn defines them.

Functions named `count_…` return the summands of a metric: for each record, and for each label, 1
or 0 for (correct, reference, prediction). Sums of them are scikit-learn's true positives, support
and predicted count of each label.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lockstep.metrics.aggregation import Numbers, divide_or_zero
from lockstep.predictions import Prediction
from lockstep.records import parse_labels

BINS = 15
"""Number of bins of equal width of the calibration error (Guo et al., 2017)."""
OTHER = "another text"
"""Column of a confusion matrix for generated texts that are not the label of any reference."""

LabelMetric = Callable[[Numbers, Numbers, Numbers], Numbers]
"""A metric of each label as a function of its counts (correct, reference, predicted)."""


def label_match(reference: str, prediction: str) -> float:
    """Return 1 if two labels are equal, apart from surrounding spaces."""
    return float(reference.strip() == prediction.strip())


def count_labels(predictions: Sequence[Prediction]) -> Numbers:
    """Count labels over all that occur as reference or prediction, (records, 3 × labels)."""
    references = {row.reference for row in predictions}
    return _count(predictions, references | {row.prediction for row in predictions})


def count_written_labels(predictions: Sequence[Prediction]) -> Numbers:
    """Count generated labels over all that occur as reference, (records, 3 × labels).

    Any other text that a model generates counts as wrong and is not a label of its own.
    """
    stripped = [_strip_spaces(row) for row in predictions]
    return _count(stripped, {row.reference for row in stripped})


def count_label_sets(predictions: Sequence[Prediction]) -> Numbers:
    """Count labels of answers with several labels each, (records, 3 × labels)."""
    pairs = [
        (set(parse_labels(row.reference)), set(parse_labels(row.prediction))) for row in predictions
    ]
    labels = sorted(set().union(*(reference | prediction for reference, prediction in pairs)))
    counts = [
        [
            [label in labels_of_record for label in labels]
            for labels_of_record in (reference & prediction, reference, prediction)
        ]
        for reference, prediction in pairs
    ]
    return np.array(counts, dtype=float).reshape(len(predictions), -1)


def replace_other_texts(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Replace generated texts that are not the label of any reference with OTHER."""
    stripped = [_strip_spaces(row) for row in predictions]
    labels = {row.reference for row in stripped}
    return [row if row.prediction in labels else replace(row, prediction=OTHER) for row in stripped]


def precision(correct: Numbers, support: Numbers, predicted: Numbers) -> Numbers:
    """Return the precision of each label; 0 for a label that is never predicted."""
    return divide_or_zero(correct, predicted)


def recall(correct: Numbers, support: Numbers, predicted: Numbers) -> Numbers:
    """Return the recall of each label; 0 for a label that is never the reference."""
    return divide_or_zero(correct, support)


def f1(correct: Numbers, support: Numbers, predicted: Numbers) -> Numbers:
    """Return the F1 of each label; 0 for a label that does not occur."""
    return divide_or_zero(2 * correct, support + predicted)


def macro_average(
    metric: LabelMetric, *, references_only: bool = False, undefined: float = 0.0
) -> Callable[[Numbers], Numbers]:
    """Return the function of sums that averages a metric over labels.

    The average is over labels that occur as reference or prediction, as in scikit-learn, or with
    `references_only` over labels that occur as reference (scikit-learn's `labels`). Without such a
    label it is `undefined`.
    """

    def average(sums: Numbers) -> Numbers:
        correct, support, predicted = _split_counts(sums)
        averaged = support if references_only else support + predicted
        total = metric(correct, support, predicted).sum(-1)
        labels = (averaged > 0).sum(-1)
        return np.where(labels > 0, divide_or_zero(total, labels), undefined)

    return average


def micro_average(metric: LabelMetric, *, undefined: float = 0.0) -> Callable[[Numbers], Numbers]:
    """Return the function of sums that computes a metric over all labels together.

    It is `undefined` if no label occurs as reference or prediction.
    """

    def average(sums: Numbers) -> Numbers:
        correct, support, predicted = (counts.sum(-1) for counts in _split_counts(sums))
        return np.where(support + predicted > 0, metric(correct, support, predicted), undefined)

    return average


def weighted_f1(sums: Numbers) -> Numbers:
    """Return the F1 averaged over labels, weighted by how often each one is the reference."""
    correct, support, predicted = _split_counts(sums)
    return divide_or_zero((f1(correct, support, predicted) * support).sum(-1), support.sum(-1))


def bin_confidences(predictions: Sequence[Prediction]) -> Numbers:
    """Return the summands of the calibration error, (records, 2 × BINS + 1).

    The confidence is the softmax probability of the predicted label. Each record has, in the bin
    of its confidence, (confidence, 1 if the label is correct), and a last column of 1.
    """
    binned = np.zeros((len(predictions), 2, BINS))
    for row, bins in zip(predictions, binned, strict=True):
        option_scores = np.array(list(row.option_scores.values()))
        probabilities = np.exp(option_scores - option_scores.max())
        confidence = probabilities.max() / probabilities.sum()
        is_correct = row.prediction == row.reference
        bins[:, min(int(confidence * BINS), BINS - 1)] = confidence, is_correct
    return np.hstack([binned.reshape(len(predictions), -1), np.ones((len(predictions), 1))])


def calibration_error(sums: Numbers) -> Numbers:
    """Return the expected calibration error (Guo et al., 2017).

    It is the average over bins, weighted by their number of records, of the absolute difference
    between the mean confidence and the accuracy of a bin.
    """
    bins = sums[..., :-1].reshape(*sums.shape[:-1], 2, BINS)
    confidence, correct = np.moveaxis(bins, -2, 0)
    return np.asarray(np.abs(confidence - correct).sum(-1) / sums[..., -1])


def _strip_spaces(row: Prediction) -> Prediction:
    return replace(row, reference=row.reference.strip(), prediction=row.prediction.strip())


def _count(predictions: Sequence[Prediction], labels: set[str]) -> Numbers:
    columns = {label: column for column, label in enumerate(sorted(labels))}
    counts = np.zeros((len(predictions), 3, len(columns)))
    for row, (correct, references, predicted) in zip(predictions, counts, strict=True):
        column = columns[row.reference]
        correct[column] = row.reference == row.prediction
        references[column] = 1
        if row.prediction in columns:
            predicted[columns[row.prediction]] = 1
    return counts.reshape(len(predictions), -1)


def _split_counts(sums: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Split (…, 3 × labels) into counts of correct, reference and predicted, each (…, labels)."""
    correct, support, predicted = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    return correct, support, predicted
