"""Confidence intervals of metrics, p-values of paired tests, and detectable differences."""

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import scipy  # loads scipy.stats, 0.7 s, on first use: every stage imports this to check params
from numpy.typing import NDArray

from lockstep.metrics.aggregation import Numbers, WeightedMetric, Weights
from lockstep.multiple_testing import LEVEL

WeightedMetrics = Callable[[Weights], Numbers]
"""Several metrics of fixed records under weights, (…, records) -> (metrics, …)."""

CONFIDENCE = 0.95
"""Confidence level of all intervals."""
POWER = 0.8
"""Power of a test at which a difference counts as detectable."""
RESAMPLES = 2000
"""Number of resamples of the bootstrap."""
PERMUTATIONS = 5000
"""Number of random exchanges of a permutation test."""
_MAX_WEIGHTS = 2**18
"""Maximum number of weights in a batch of resamples: 2 MiB, so that they stay in the cache."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Confidence interval at the level CONFIDENCE."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Interval and standard error of a metric."""

    interval: Interval
    standard_error: float


def compute_share_interval(right: int, records: int) -> Interval:
    """Return Wilson's interval of a share (Wilson, 1927).

    Its coverage stays close to CONFIDENCE for few records and for shares near 0 or 1.
    """
    result = scipy.stats.binomtest(right, records).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(result.low), float(result.high))


def compute_mean_interval(
    values: Sequence[float], lowest: float, highest: float
) -> Interval | None:
    """Return Student's t interval of a mean, clipped to [lowest, highest]; None for one value.

    Unlike percentiles of a bootstrap, it is wide enough for few values. It assumes that means are
    nearly normal, which holds for ratings from 1 to 5.
    """
    if len(values) < 2:
        return None
    quantile = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    margin = float(quantile * scipy.stats.sem(values))
    return Interval(max(lowest, fmean(values) - margin), min(highest, fmean(values) + margin))


def compute_difference_interval(
    first: tuple[float, Interval], second: tuple[float, Interval]
) -> Interval:
    """Return the interval of first minus second, from (value, interval) of independent samples.

    For shares with Wilson's intervals this is the method of Newcombe (1998, method 10), for other
    metrics that of Zou and Donner (2008).
    """
    (value, interval), (other_value, other_interval) = first, second
    difference = value - other_value
    low = math.hypot(value - interval.low, other_interval.high - other_value)
    high = math.hypot(interval.high - value, other_value - other_interval.low)
    return Interval(difference - low, difference + high)


def bootstrap(metrics: WeightedMetrics, records: int, seed: int) -> list[Uncertainty]:
    """Return the percentile bootstrap interval of each metric (Efron, 1979).

    Each resample draws `records` records (at least 2) with replacement and serves all metrics.
    """

    def compute_resampled(indices: NDArray[np.int64], axis: int) -> Numbers:
        return metrics(_count_draws(indices, records))

    with warnings.catch_warnings():  # metrics that are constant or undefined in all resamples
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        result = scipy.stats.bootstrap(
            (np.arange(records),),
            compute_resampled,
            n_resamples=RESAMPLES,
            batch=_compute_batch_size(records),
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    interval = result.confidence_interval
    return _build_uncertainties(interval.low, interval.high, result.standard_error)


def jackknife(metrics: WeightedMetrics, records: int) -> list[Uncertainty]:
    """Return the normal interval of each metric by leaving out one record at a time.

    The method is that of Efron and Stein (1981). It suits metrics that a record drawn twice would
    change, for which the bootstrap is biased.
    """
    values = metrics(np.ones(records))
    without_one = np.concatenate(
        [
            metrics(1 - np.eye(records)[start : start + _compute_batch_size(records)])
            for start in range(0, records, _compute_batch_size(records))
        ],
        axis=-1,
    )
    deviations = without_one - without_one.mean(axis=-1, keepdims=True)
    standard_errors = np.sqrt((records - 1) / records * (deviations**2).sum(axis=-1))
    margins = scipy.stats.norm.ppf((1 + CONFIDENCE) / 2) * standard_errors
    return _build_uncertainties(values - margins, values + margins, standard_errors)


def compute_normal_uncertainty(value: float, deviations: Numbers) -> Uncertainty:
    """Return the normal interval of a metric from deviations whose squares sum to its variance."""
    standard_error = math.hypot(*deviations)
    margin = float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2)) * standard_error
    return Uncertainty(Interval(value - margin, value + margin), standard_error)


def compute_normal_p(difference: float, standard_error: float, records: int) -> float:
    """Return the two-sided p-value of a difference that is nearly normal.

    It is at least 2 / 2^records, the smallest value that exchanges of so few pairs of answers give.
    """
    smallest = max(2.0 ** (1 - records), sys.float_info.min)
    if not standard_error:
        return smallest if difference else 1.0
    p = float(2 * scipy.stats.norm.sf(abs(difference) / standard_error))
    return min(1.0, max(p, smallest))


def compute_mcnemar_p(better: int, worse: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947).

    `better` and `worse` count the answers that changed from wrong to right and back.
    """
    return float(scipy.stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0


def compute_permutation_p(differences: WeightedMetrics, records: int, seed: int) -> list[float]:
    """Return the two-sided p-value of each metric's difference between two variants.

    The paired permutation test (Fisher, 1935) exchanges the two answers to a record at random; p
    is estimated as by Phipson and Smyth (2010). `differences` takes exchanges, (…, records): 1 for
    each record whose answers are exchanged, else 0.
    """
    generator = np.random.default_rng(seed)
    observed = np.abs(differences(np.zeros((1, records))))
    threshold = observed - 1e-9 * np.maximum(1, observed)  # differences equal up to rounding count
    as_large = np.zeros(len(observed))
    for start in range(0, PERMUTATIONS, _compute_batch_size(2 * records)):
        size = min(_compute_batch_size(2 * records), PERMUTATIONS - start)
        exchanged = generator.integers(0, 2, size=(size, records)).astype(float)
        as_large += (np.abs(differences(exchanged)) >= threshold).sum(axis=-1)
    return [float(p) for p in (1 + as_large) / (1 + PERMUTATIONS)]


def compute_fisher_p(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the two-sided p-value of Fisher's exact test of two independent shares (1934).

    A share is (number of correct records, number of records).
    """
    table = [[right, records - right] for right, records in (first, second)]
    return float(scipy.stats.fisher_exact(table).pvalue)


def compute_two_sample_permutation_p(
    metric: WeightedMetric, is_first: NDArray[np.bool_], seed: int
) -> float:
    """Return the two-sided p-value of a metric's difference between two independent samples.

    The permutation test (Fisher, 1935) divides the records at random into two samples of the same
    sizes; p is estimated as by Phipson and Smyth (2010). `is_first` tells the first sample,
    (records,). A division for which the metric is undefined counts as extreme.
    """
    generator = np.random.default_rng(seed)

    def compute_differences(divisions: NDArray[np.bool_]) -> Numbers:
        return metric(divisions.astype(float)) - metric((~divisions).astype(float))

    observed = abs(float(compute_differences(is_first[None])[0]))
    threshold = observed - 1e-9 * max(1.0, observed)  # differences equal up to rounding count
    as_large, batch = 0, _compute_batch_size(len(is_first))
    for start in range(0, PERMUTATIONS, batch):
        size = min(batch, PERMUTATIONS - start)
        divisions = generator.permuted(np.tile(is_first, (size, 1)), axis=1)
        as_large += int((~(np.abs(compute_differences(divisions)) < threshold)).sum())
    return (1 + as_large) / (1 + PERMUTATIONS)


def compute_detectable_difference(standard_error: float) -> float:
    """Return the smallest true difference that a test at LEVEL detects with POWER (Cohen, 1988).

    `standard_error` is that of the difference.
    """
    quantiles = scipy.stats.norm.ppf((1 + CONFIDENCE) / 2) + scipy.stats.norm.ppf(POWER)
    return float(quantiles * standard_error)


def compute_fewest_changes() -> int:
    """Return how many answers must change, all in one direction, for a McNemar p below LEVEL."""
    return math.ceil(math.log2(2 / LEVEL))


def _build_uncertainties(
    lows: Numbers, highs: Numbers, standard_errors: Numbers
) -> list[Uncertainty]:
    rows = zip(lows, highs, standard_errors, strict=True)
    return [Uncertainty(Interval(float(low), float(high)), float(se)) for low, high, se in rows]


def _count_draws(indices: NDArray[np.int64], records: int) -> Weights:
    """Count how often each record was drawn, (…, drawn) -> (…, records)."""
    rows = indices.reshape(-1, indices.shape[-1])
    offsets = np.arange(len(rows))[:, None] * records
    counts = np.bincount((rows + offsets).ravel(), minlength=len(rows) * records)
    return counts.reshape(*indices.shape[:-1], records).astype(float)


def _compute_batch_size(records: int) -> int:
    return max(1, _MAX_WEIGHTS // records)
