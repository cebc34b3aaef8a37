"""ROC curves are those of scikit-learn, and reliability diagrams use the bins of scipy."""

import numpy as np
import pytest
from scipy.stats import binned_statistic
from sklearn.metrics import auc, roc_auc_score, roc_curve

from lockstep.predictions import Prediction
from lockstep.statistics.score_curves import GRID, compute_reliability_points, compute_roc_points

LABELS = ["a", "b", "c"]


def make_predictions(records: int) -> tuple[list[Prediction], np.ndarray]:
    """Return predictions with ties, and the probability of each label."""
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(records, len(LABELS))).round(1)
    references = generator.choice(LABELS, records)
    scores[np.arange(records), [LABELS.index(label) for label in references]] += 0.5
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    rows = [
        Prediction(
            id=str(number), task="t", slices={}, question="", prompt="", reference=str(reference),
            prediction=LABELS[int(values.argmax())],
            option_scores=dict(zip(LABELS, values.tolist(), strict=True)),
        )
        for number, (reference, values) in enumerate(zip(references, scores, strict=True))
    ]  # fmt: skip
    return rows, probabilities


def test_the_roc_curve_is_the_average_of_those_of_the_labels() -> None:
    rows, probabilities = make_predictions(400)
    is_label = np.array([[row.reference == label for label in LABELS] for row in rows])
    curves = [
        roc_curve(is_label[:, i], probabilities[:, i], drop_intermediate=False) for i in (0, 1, 2)
    ]
    expected = np.mean([np.interp(GRID, x, y) for x, y, _ in curves], axis=0)
    points = compute_roc_points(rows)
    assert points[0] == [0.0, 0.0]
    assert np.array(points[1:])[:, 1] == pytest.approx(expected, abs=1e-5)
    area = roc_auc_score(is_label, probabilities)
    assert auc(*np.array(points).T) == pytest.approx(area, abs=0.01)


def test_a_label_without_records_does_not_count_in_the_roc_curve() -> None:
    rows, _ = make_predictions(60)
    assert compute_roc_points([row for row in rows if row.reference == "a"]) == []


def test_reliability_is_the_mean_in_bins_of_equal_width() -> None:
    rows, probabilities = make_predictions(400)
    confidence = probabilities.max(axis=1)
    correct = [row.prediction == row.reference for row in rows]
    expected = [
        binned_statistic(confidence, values, statistic, bins=15, range=(0, 1)).statistic
        for values, statistic in ((confidence, "mean"), (correct, "mean"), (correct, "count"))
    ]
    filled = expected[2] > 0
    points = compute_reliability_points(rows)
    assert np.array(points) == pytest.approx(np.array(expected).T[filled], abs=1e-5)
