"""Metrics as functions of predictions, over all of them or under record weights.

Most metrics are functions of sums over records: `SumMetric` computes the summands of each record
once, and every resample is then a weighted sum of them. `InfluenceMetric` needs no resamples, since
its standard error has a formula.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

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


Table = NDArray[Any]
"""The values of each record that a metric needs, (records, …)."""

_MAX_DENSITY = 0.05
"""Share of summands that are not 0 up to which a sparse matrix is faster."""


class PairedMetric(NamedTuple):
    """Difference of a metric between two variants on the same records, after minus before."""

    by_weights: WeightedMetric
    """The difference as a function of the records' weights."""
    by_exchanges: WeightedMetric
    """The difference as a function of 1 for each record whose two answers are exchanged, else 0."""


class Influences(NamedTuple):
    """Value of a metric, and what each record contributes to its variance."""

    value: float
    """The metric; NaN if it is not defined."""
    deviations: Numbers
    """Deviation of each record, (records,); the sum of their squares is the metric's variance, and
    the sum of squared differences between two variants is the variance of the difference."""


class Metric(ABC):
    """A metric of predictions, which are tabulated once and then selected by record."""

    @abstractmethod
    def tabulate(self, predictions: Sequence[Prediction]) -> Table:
        """Return what the metric needs of each record."""

    @abstractmethod
    def compute_table(self, table: Table) -> float:
        """Return the metric of the records in a table; NaN if it is not defined."""

    def compute(self, predictions: Sequence[Prediction]) -> float:
        """Return the metric of these predictions; NaN if it is not defined."""
        return self.compute_table(self.tabulate(predictions))


class ResampledMetric(Metric):
    """Metric whose interval comes from resamples, or from a formula for shares."""

    @abstractmethod
    def bind(self, table: Table) -> WeightedMetric:
        """Return the metric of the records in a table as a function of their weights."""

    @abstractmethod
    def bind_pairs(self, before: Table, after: Table) -> PairedMetric:
        """Return the difference between two variants; both tables come from one call."""


@dataclass(frozen=True, slots=True)
class SumMetric(ResampledMetric):
    """Metric that is a function of sums over records."""

    summands: Callable[[Sequence[Prediction]], Numbers]
    """Function that returns what each record adds to the sums, (records, columns)."""
    from_sums: Callable[[Numbers], Numbers]
    """Function that returns the metric of sums, (…, columns) -> (…)."""

    def tabulate(self, predictions: Sequence[Prediction]) -> Table:
        return self.summands(predictions)

    def compute_table(self, table: Table) -> float:
        return float(self.from_sums(np.array([math.fsum(column) for column in table.T])))

    def bind(self, table: Table) -> WeightedMetric:
        compute_sums = _bind_sums(table)
        return lambda weights: self.from_sums(compute_sums(weights))

    def bind_pairs(self, before: Table, after: Table) -> PairedMetric:
        sum_before, sum_after, sum_change = map(_bind_sums, (before, after, after - before))
        total_before, total_after = before.sum(axis=0), after.sum(axis=0)

        def exchange(exchanged: Weights) -> Numbers:
            change = sum_change(exchanged)
            return self.from_sums(total_after - change) - self.from_sums(total_before + change)

        return PairedMetric(
            lambda weights: (
                self.from_sums(sum_after(weights)) - self.from_sums(sum_before(weights))
            ),
            exchange,
        )


class ShareMetric(SumMetric):
    """Share of correct records among the records that count.

    Its summands are (correct and counts, counts), both 0 or 1, (records, 2).
    """


@dataclass(frozen=True, slots=True)
class JointMetric(ResampledMetric):
    """Metric that is not a function of sums over records, so it needs all records at once.

    Its interval comes from the jackknife. The bootstrap repeats records, which lowers some such
    metrics, for example the share of distinct words.
    """

    from_predictions: Callable[[Sequence[Prediction]], WeightedMetric]
    """Function that returns the metric of predictions as a function of their weights."""

    def tabulate(self, predictions: Sequence[Prediction]) -> Table:
        table = np.empty(len(predictions), dtype=object)
        table[:] = predictions
        return table

    def compute_table(self, table: Table) -> float:
        return float(self.bind(table)(np.ones(len(table))))

    def bind(self, table: Table) -> WeightedMetric:
        return self.from_predictions(table.tolist())

    def bind_pairs(self, before: Table, after: Table) -> PairedMetric:
        weighted = self.bind(np.concatenate([before, after]))

        def compute_difference(kept: Weights, exchanged: Weights) -> Numbers:
            value_before = weighted(np.concatenate([kept, exchanged], axis=-1))
            return weighted(np.concatenate([exchanged, kept], axis=-1)) - value_before

        return PairedMetric(
            lambda weights: compute_difference(weights, np.zeros_like(weights)),
            lambda exchanged: compute_difference(1 - exchanged, exchanged),
        )


@dataclass(frozen=True, slots=True)
class InfluenceMetric(Metric):
    """Metric whose standard error has a formula in the influence of each record."""

    columns: Callable[[Sequence[Prediction]], Numbers]
    """Function that returns what the metric needs of each record, (records, columns)."""
    measure: Callable[[Numbers], Influences]
    """Function that returns the value and the influence of each record."""

    def tabulate(self, predictions: Sequence[Prediction]) -> Table:
        return self.columns(predictions)

    def compute_table(self, table: Table) -> float:
        return self.measure(table).value


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
