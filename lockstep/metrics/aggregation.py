"""Metrics as functions of predictions, over all of them or under record weights.

Most metrics are functions of sums over records: `SumMetric` computes the summands of each record
once, and every resample or slice is then a weighted sum of them. `InfluenceMetric` needs no
resamples, since its standard error has a formula.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy  # loads scipy.sparse on first use: every stage imports this to check params
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


_MAX_DENSITY = 0.05
"""Share of summands that are not 0 up to which a sparse matrix is faster."""


class PairedMetric(NamedTuple):
    """Difference of a metric between two variants on the same records, after minus before."""

    by_weights: WeightedMetric
    """The difference as a function of the records' weights."""
    by_exchanges: WeightedMetric
    """The difference as a function of 1 for each record whose two answers are exchanged, else 0."""


@dataclass(frozen=True, slots=True)
class SumMetric:
    """Metric that is a function of sums over records."""

    summands: Callable[[Sequence[Prediction]], Numbers]
    """Function that returns what each record adds to the sums, (records, columns)."""
    from_sums: Callable[[Numbers], Numbers]
    """Function that returns the metric of sums, (…, columns) -> (…)."""

    def compute(self, predictions: Sequence[Prediction]) -> float:
        """Return the metric of these predictions; NaN if it is not defined."""
        sums = np.array([math.fsum(column) for column in self.summands(predictions).T])
        return float(self.from_sums(sums))

    def bind(self, predictions: Sequence[Prediction]) -> WeightedMetric:
        """Return the metric of these predictions as a function of their weights."""
        compute_sums = _bind_sums(self.summands(predictions))
        return lambda weights: self.from_sums(compute_sums(weights))

    def bind_pairs(self, before: Sequence[Prediction], after: Sequence[Prediction]) -> PairedMetric:
        """Return the difference of the metric between two variants."""
        first, second = np.split(self.summands([*before, *after]), 2)
        sum_first, sum_second, sum_change = map(_bind_sums, (first, second, second - first))
        total_first, total_second = first.sum(axis=0), second.sum(axis=0)

        def exchange(exchanged: Weights) -> Numbers:
            change = sum_change(exchanged)
            return self.from_sums(total_second - change) - self.from_sums(total_first + change)

        return PairedMetric(
            lambda weights: (
                self.from_sums(sum_second(weights)) - self.from_sums(sum_first(weights))
            ),
            exchange,
        )


class ShareMetric(SumMetric):
    """Share of correct records among the records that count.

    Its summands are (correct and counts, counts), both 0 or 1, (records, 2).
    """


@dataclass(frozen=True, slots=True)
class JointMetric:
    """Metric that is not a function of sums over records, so it needs all records at once.

    Its interval comes from the jackknife. The bootstrap repeats records, which lowers some such
    metrics, for example the share of distinct words.
    """

    from_predictions: Callable[[Sequence[Prediction]], WeightedMetric]
    """Function that returns the metric of predictions as a function of their weights."""

    def compute(self, predictions: Sequence[Prediction]) -> float:
        """Return the metric of these predictions; NaN if it is not defined."""
        return float(self.from_predictions(predictions)(np.ones(len(predictions))))

    def bind(self, predictions: Sequence[Prediction]) -> WeightedMetric:
        """Return the metric of these predictions as a function of their weights."""
        return self.from_predictions(predictions)

    def bind_pairs(self, before: Sequence[Prediction], after: Sequence[Prediction]) -> PairedMetric:
        """Return the difference of the metric between two variants."""
        weighted = self.from_predictions([*before, *after])

        def compute_difference(kept: Weights, exchanged: Weights) -> Numbers:
            value_before = weighted(np.concatenate([kept, exchanged], axis=-1))
            return weighted(np.concatenate([exchanged, kept], axis=-1)) - value_before

        return PairedMetric(
            lambda weights: compute_difference(weights, np.zeros_like(weights)),
            lambda exchanged: compute_difference(1 - exchanged, exchanged),
        )


class Influences(NamedTuple):
    """Value of a metric, and what each record contributes to its variance."""

    value: float
    """The metric; NaN if it is not defined."""
    deviations: Numbers
    """Deviation of each record, (records,); the sum of their squares is the metric's variance, and
    the sum of squared differences between two variants is the variance of the difference."""


@dataclass(frozen=True, slots=True)
class InfluenceMetric:
    """Metric whose standard error has a formula in the influence of each record."""

    measure: Callable[[Sequence[Prediction]], Influences]
    """Function that returns the value and the influence of each record."""

    def compute(self, predictions: Sequence[Prediction]) -> float:
        """Return the metric of these predictions; NaN if it is not defined."""
        return self.measure(predictions).value


ResampledMetric = SumMetric | JointMetric
"""A metric whose interval comes from resamples, or from a formula for shares."""
Metric = ResampledMetric | InfluenceMetric


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


def _bind_sums(summands: Numbers) -> Callable[[Weights], Numbers]:
    """Return the weighted sums of summands, (records, columns), as a function of weights.

    Counts of many labels are mostly zeros.
    """
    if np.count_nonzero(summands) > _MAX_DENSITY * summands.size:
        return lambda weights: weights @ summands
    sparse = scipy.sparse.csr_array(summands)
    return lambda weights: np.asarray(weights @ sparse)


def _score_predictions(score: Score, predictions: Sequence[Prediction]) -> Numbers:
    """Return (score, 1) of each prediction, (records, 2)."""
    return np.array([(score(row.reference, row.prediction), 1.0) for row in predictions])
