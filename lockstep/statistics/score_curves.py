"""ROC curves and reliability diagrams of suites whose answers have probabilities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lockstep.metrics.classification import BINS
from lockstep.metrics.option_probabilities import compute_option_probabilities
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import Prediction
from lockstep.statistics.stage_results import VariantPredictions

FORM = "choice"
"""Form of answers that the model chooses by their probabilities."""
GRID = np.linspace(0, 1, 41) ** 2
"""False positive rates of a curve, denser where they are low."""

Points = list[list[float]]


def compute_curves(
    predictions: VariantPredictions, suites: Sequence[MeasuredSuite]
) -> dict[str, dict[str, dict[str, Points]]]:
    """Return {suite: {variant: {"roc": points, "reliability": points}}} of suites of choices."""
    curves = {}
    for suite in suites:
        if suite.form != FORM:
            continue
        rows = {
            variant: [row for row in all_rows if row.task == suite.task and row.option_scores]
            for variant, all_rows in predictions.items()
        }
        if all(rows.values()):
            curves[suite.task] = {
                variant: {
                    "roc": compute_roc_points(part),
                    "reliability": compute_reliability_points(part),
                }
                for variant, part in rows.items()
            }
    return curves


def compute_roc_points(predictions: Sequence[Prediction]) -> Points:
    """Return [false positive rate, true positive rate] on GRID, averaged over labels.

    Each label is compared with the rest, as in scikit-learn's example of the macro-average ROC
    curve. Labels that are the reference of no record or of all records are left out; without any
    other label there are no points.
    """
    labels, probabilities = compute_option_probabilities(predictions)
    references = [row.reference for row in predictions]
    rates = []
    for column, label in enumerate(labels):
        is_label = np.array([reference == label for reference in references])
        if 0 < is_label.sum() < len(predictions):
            rates.append(_interpolate_rates(probabilities[:, column], is_label))
    if not rates:
        return []
    return [
        [round(float(x), 5), round(float(y), 5)]
        for x, y in zip([0.0, *GRID], [0.0, *np.mean(rates, axis=0)], strict=True)
    ]


def compute_reliability_points(predictions: Sequence[Prediction]) -> Points:
    """Return [mean confidence, accuracy, records] of each bin of confidence that has records.

    The bins are those of the calibration error.
    """
    _, probabilities = compute_option_probabilities(predictions)
    confidence = probabilities.max(axis=1)
    correct = np.array([row.prediction == row.reference for row in predictions])
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        [
            round(float(confidence[bins == index].mean()), 5),
            round(float(correct[bins == index].mean()), 5),
            int((bins == index).sum()),
        ]
        for index in np.unique(bins)
    ]


def _interpolate_rates(
    probability: NDArray[np.float64], is_label: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the true positive rates at the false positive rates of GRID."""
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(is_label[order])
    misses = np.arange(1, len(order) + 1) - hits
    last_of_ties = np.append(np.diff(probability[order]) != 0, True)
    true_rate = np.append(0.0, hits[last_of_ties] / hits[-1])
    false_rate = np.append(0.0, misses[last_of_ties] / misses[-1])
    return np.interp(GRID, false_rate, true_rate)
