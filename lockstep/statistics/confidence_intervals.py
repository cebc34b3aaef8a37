"""What a sample of records says of a figure: its interval, a paired test, what it could show."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import scipy  # loads scipy.stats, 0.7 s, when it is used: every stage comes by to check params.yaml
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Weights = Numbers
"""How often each record counts, (…, records)."""
Figures = Callable[[Weights], Numbers]
"""Several figures of the records under weights, (…, records) -> (figures, …)."""

CONFIDENCE = 0.95
LEVEL = 0.05
"""A p below this is no chance."""
POWER = 0.8
RESAMPLES = 2000
PERMUTATIONS = 5000
_BATCH = 2**22
"""Numbers in a batch of weights."""


@dataclass(frozen=True, slots=True)
class Interval:
    """That of a figure, of CONFIDENCE."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spread:
    """What resamples say of a figure."""

    interval: Interval
    error: float
    """Its standard error."""


def of_share(right: int, records: int) -> Interval:
    """Wilson's interval of a share (Wilson, 1927): sound for few records and near 0 or 1."""
    found = scipy.stats.binomtest(right, records).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(found.low), float(found.high))


def of_mean(values: Sequence[float], lowest: float, highest: float) -> Interval | None:
    """Student's t interval of the mean of ratings between two bounds; None of fewer than two.

    It holds for few ratings, where percentiles of a bootstrap are too narrow; means of 1 to 5 are
    near enough to normal. Cut to what the scale allows.
    """
    if len(values) < 2:
        return None
    quantile = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    reach = float(quantile * scipy.stats.sem(values))
    return Interval(max(lowest, fmean(values) - reach), min(highest, fmean(values) + reach))


def of_difference(one: tuple[float, Interval], other: tuple[float, Interval]) -> Interval:
    """That of a figure minus another of other records, from the intervals of both.

    For shares with Wilson's intervals it is Newcombe's (1998, method 10), for other figures that of
    Zou and Donner (2008).
    """
    (a, first), (b, second) = one, other
    low = a - b - math.hypot(a - first.low, second.high - b)
    return Interval(low, a - b + math.hypot(first.high - a, b - second.low))


def bootstrap(figures: Figures, records: int, seed: int) -> list[Spread]:
    """By drawing as many records again and again (Efron, 1979): percentiles of each figure.

    Records, two at least, are drawn for all figures together.
    """

    def statistic(drawn: NDArray[np.int64], axis: int) -> Numbers:
        return figures(_counts(drawn, records))

    with warnings.catch_warnings():  # of figures that are equal in all resamples, or undefined
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        found = scipy.stats.bootstrap(
            (np.arange(records),),
            statistic,
            n_resamples=RESAMPLES,
            batch=_batch(records),
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    ends = found.confidence_interval
    rows = zip(ends.low, ends.high, found.standard_error, strict=True)
    return [Spread(Interval(float(low), float(high)), float(error)) for low, high, error in rows]


def jackknife(figures: Figures, records: int) -> list[Spread]:
    """By leaving out one record at a time (Efron and Stein, 1981): a normal interval of each
    figure, for those that a record drawn twice would change."""
    whole = figures(np.ones(records))
    left_out = np.concatenate(
        [
            figures(1 - np.eye(records)[start : start + _batch(records)])
            for start in range(0, records, _batch(records))
        ],
        axis=-1,
    )
    around = left_out - left_out.mean(axis=-1, keepdims=True)
    errors = np.sqrt((records - 1) / records * (around**2).sum(axis=-1))
    width = scipy.stats.norm.ppf((1 + CONFIDENCE) / 2) * errors
    rows = zip(whole - width, whole + width, errors, strict=True)
    return [Spread(Interval(float(low), float(high)), float(error)) for low, high, error in rows]


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p of right and wrong answers that changed sides (McNemar, 1947)."""
    return float(scipy.stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0


def permutation(figures: Figures, records: int, seed: int) -> list[float]:
    """Two-sided p of the difference of each figure, after minus before, by exchanging the two
    answers to a record at random (Fisher, 1935; p as of Phipson and Smyth, 2010).

    `figures` are of the records of both, those before first: (…, 2 × records).
    """
    draw = np.random.default_rng(seed)

    def differences(exchanged: Numbers) -> Numbers:
        before = np.concatenate([1 - exchanged, exchanged], axis=-1)
        return figures(1 - before) - figures(before)

    observed = np.abs(differences(np.zeros((1, records))))
    least = observed - 1e-9 * np.maximum(1, observed)  # equal but for rounding counts as equal
    as_large = np.zeros(len(observed))
    for start in range(0, PERMUTATIONS, _batch(2 * records)):
        size = min(_batch(2 * records), PERMUTATIONS - start)
        drawn = draw.integers(0, 2, size=(size, records)).astype(float)
        as_large += (np.abs(differences(drawn)) >= least).sum(axis=-1)
    return [float(p) for p in (1 + as_large) / (1 + PERMUTATIONS)]


def holm(values: Sequence[float]) -> list[float]:
    """The p values of many tests, adjusted so that chance makes any of them fall below a level no
    more often than that level (Holm, 1979)."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, most = [1.0] * len(values), 0.0
    for place, index in enumerate(order):
        most = max(most, min(1.0, (len(values) - place) * values[index]))
        adjusted[index] = most
    return adjusted


def detectable(error: float) -> float:
    """The least true difference that a test at 5% shows in four cases of five, from the standard
    error of the difference (Cohen, 1988)."""
    return float((scipy.stats.norm.ppf((1 + CONFIDENCE) / 2) + scipy.stats.norm.ppf(POWER)) * error)


def fewest_changes() -> int:
    """How many answers must change to one side alone for McNemar's test to call it no chance."""
    return math.ceil(math.log2(2 / LEVEL))


def _counts(drawn: NDArray[np.int64], records: int) -> Weights:
    """How often each record was drawn, (…, drawn) -> (…, records)."""
    rows = drawn.reshape(-1, drawn.shape[-1])
    offset = np.arange(len(rows))[:, None] * records
    flat = np.bincount((rows + offset).ravel(), minlength=len(rows) * records)
    return flat.reshape(*drawn.shape[:-1], records).astype(float)


def _batch(records: int) -> int:
    return max(1, _BATCH // records)
