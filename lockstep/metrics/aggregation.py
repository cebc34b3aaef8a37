"""Metrics as functions of predictions, over all of them or under record weights.

Most metrics are functions of sums over records: `SumMetric` computes the summands of each record
once, and every resample or slice is then a weighted sum of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lockstep.metrics.scores import Score
from lockstep.predictions import Prediction

Numbers = NDArray[np.float64]
Weights = Numbers
"""Weight of each record, (…, records): ones for all records, the counts of a resample, or ones and
zeros for a slice."""
WeightedMetric = Callable[[Weights], Numbers]
"""A metric of fixed records as a function of their weights, (…, records) -> (…); NaN where it is
not defined."""


class Metric(Protocol):
    """A metric of predictions."""

    def compute(self, predictions: Sequence[Prediction]) -> float:
        """Return the metric of these predictions; NaN if it is not defined."""

    def bind(self, predictions: Sequence[Prediction]) -> WeightedMetric:
        """Return the metric of these predictions as a function of their weights."""


@dataclass(frozen=True, slots=True)
class SumMetric:
    """Metric that is a function of sums over records."""

    summands: Callable[[Sequence[Prediction]], Numbers]
    """Function that returns what each record adds to the sums, (records, columns)."""
    from_sums: Callable[[Numbers], Numbers]
    """Function that returns the metric of sums, (…, columns) -> (…)."""

    def compute(self, predictions: Sequence[Prediction]) -> float:
        sums = np.array([math.fsum(column) for column in self.summands(predictions).T])
        return float(self.from_sums(sums))

    def bind(self, predictions: Sequence[Prediction]) -> WeightedMetric:
        summands = self.summands(predictions)
        return lambda weights: self.from_sums(weights @ summands)


class ShareMetric(SumMetric):
    """Share of correct records among the records that count.

    Its summands are (correct and counts, counts), both 0 or 1, (records, 2).
    """


@dataclass(frozen=True, slots=True)
class JointMetric:
    """Metric that is not a function of sums over records, so it needs all records at once."""

    from_predictions: Callable[[Sequence[Prediction]], WeightedMetric]
    """Function that returns the metric of predictions as a function of their weights."""
    by_jackknife: bool = False
    """Whether the interval comes from the jackknife and not from the bootstrap. The bootstrap
    repeats records, which lowers some metrics, such as the share of distinct words."""

    def compute(self, predictions: Sequence[Prediction]) -> float:
        return float(self.from_predictions(predictions)(np.ones(len(predictions))))

    def bind(self, predictions: Sequence[Prediction]) -> WeightedMetric:
        return self.from_predictions(predictions)


def make_mean_metric(score: Score) -> SumMetric:
    """Return the metric that averages a score over records."""
    return SumMetric(partial(_score_predictions, score), divide_sums)


def make_share_metric(score: Score) -> ShareMetric:
    """Return the metric that averages a score that is either 0 or 1."""
    return ShareMetric(partial(_score_predictions, score), divide_sums)


def divide_sums(sums: Numbers) -> Numbers:
    """Return the first column divided by the second, (…, 2) -> (…); NaN where that is 0."""
    numerator, denominator = sums[..., 0], sums[..., 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(denominator == 0, np.nan, numerator / denominator))


def divide_or_zero(numerator: Numbers, denominator: Numbers) -> Numbers:
    """Divide two arrays of one shape element by element; 0 where the denominator is 0."""
    numerator = np.asarray(numerator, dtype=float)
    denominator = np.asarray(denominator, dtype=float)
    zeros = np.zeros_like(numerator)
    return np.divide(numerator, denominator, out=zeros, where=denominator > 0)


def _score_predictions(score: Score, predictions: Sequence[Prediction]) -> Numbers:
    """Return (score, 1) of each prediction, (records, 2)."""
    return np.array([(score(row.reference, row.prediction), 1.0) for row in predictions])
