"""How a figure of merit follows from records: of all, or of any weights of them.

Most are sums over records: what each adds, and the figure that the sums give.
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
"""How often each record counts, (…, records): ones for all, counts of a resample, a slice."""
Figure = Callable[[Weights], Numbers]
"""A figure of some records under weights, (…, records) -> (…); NaN where it is not defined."""


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

    def figure(self, rows: Sequence[Prediction]) -> float:
        sums = np.array([math.fsum(column) for column in self.parts(rows).T])
        return float(self.of(sums))

    def weighted(self, rows: Sequence[Prediction]) -> Figure:
        parts = self.parts(rows)
        return lambda weights: self.of(weights @ parts)


class Share(Sums):
    """The records that are right by those that count: two columns of 0 or 1."""


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
    return Sums(partial(_scored, score), ratio, score)


def share(score: Score) -> Share:
    """The share of records whose score is 1; that of the others is 0."""
    return Share(partial(_scored, score), ratio, score)


def ratio(sums: Numbers) -> Numbers:
    """The first column by the second, NaN by 0."""
    part, whole = sums[..., 0], sums[..., 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole == 0, np.nan, part / whole))


def divided(part: Numbers, whole: Numbers) -> Numbers:
    """By element, 0 where the whole is 0."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _scored(score: Score, rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): the score, and 1."""
    return np.array([(score(row.reference, row.prediction), 1.0) for row in rows])
