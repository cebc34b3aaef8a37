"""Tests of whether requests and training records have the same distribution, and their effects.

Every effect estimates a lower bound of the total variation distance of the two distributions: the
share of the requests that would have to be different for both to be the same, from 0 to 1. So one
threshold fits all of them. Few requests have large distances without any drift, so the mean without
drift is subtracted, in squares, as it is from Cramér's V (Bergsma, 2013).
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Range = Literal["two-sided", "higher"]

RESAMPLES = 9999
"""Number of random tables of a test of categories; its smallest p-value is 1e-4."""
MAX_CATEGORIES = 50
"""Number of categories that are compared one by one; rarer ones are pooled."""
OTHERS = "others"
ONE_SIDED_MEAN, TWO_SIDED_MEAN = math.sqrt(math.pi / 8), math.sqrt(math.pi / 2) * math.log(2)
"""Means of the statistic of Kolmogorov and Smirnov without a difference, for many numbers."""
_QUANTILES = (0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftTest:
    """The comparison of one feature."""

    name: str
    texts: tuple[int, int]
    """Number of training records and requests that were compared."""
    effect: float
    """Share of the requests that would have to be different, 0 to 1."""
    p: float
    p_adjusted: float = 1.0
    """p-value corrected for all tests of the comparison."""
    is_alarm: bool = False
    shares: list[tuple[str, float, float]] = field(default_factory=list)
    """(kind of text, its share of the training records, its share of the requests)."""
    typicality: Numbers = field(default_factory=lambda: np.empty(0))
    """Score of each request, which is high if it looks like the difference; NaN if not compared."""


def subtract_chance(distance: float, mean: float) -> float:
    """Return an effect from a distance and its mean without drift."""
    return math.sqrt(max(0.0, distance**2 - mean**2))


def compare_numbers(
    name: str,
    reference: NDArray[Any],
    requests: NDArray[Any],
    show: Callable[[float], str],
    alternative: Range = "two-sided",
) -> DriftTest:
    """Compare numbers by the test of Kolmogorov and Smirnov; ties make it conservative.

    The effect is from its statistic, the largest difference of the distribution functions.
    """
    side = "less" if alternative == "higher" else "two-sided"  # less: the function, not the number
    result = scipy.stats.ks_2samp(requests, reference, alternative=side, method="asymp")
    is_higher = result.statistic_sign < 0
    factor = ONE_SIDED_MEAN if alternative == "higher" else TWO_SIDED_MEAN
    scale = math.sqrt(1 / len(reference) + 1 / len(requests))
    return DriftTest(
        name=name,
        texts=(len(reference), len(requests)),
        effect=subtract_chance(float(result.statistic), factor * scale),
        p=float(result.pvalue),
        shares=_count_ranges(reference, requests, show),
        typicality=np.asarray(requests, float) * (1 if is_higher else -1),
    )


def _count_ranges(
    reference: NDArray[Any], requests: NDArray[Any], show: Callable[[float], str]
) -> list[tuple[str, float, float]]:
    """Return the shares of both sides in ranges between quantiles of the reference."""
    bounds = np.unique(np.quantile(reference, _QUANTILES, method="lower"))
    names = [f"up to {show(bound)}" if bound else show(bound) for bound in bounds]
    names.append(f"over {show(bounds[-1])}")
    sides = [
        np.bincount(np.searchsorted(bounds, values, "left"), minlength=len(names)) / len(values)
        for values in (reference, requests)
    ]
    return [*zip(names, sides[0].tolist(), sides[1].tolist(), strict=True)]


def compare_categories(
    name: str,
    reference: NDArray[Any],
    requests: NDArray[Any],
    seed: int,
    resamples: int = RESAMPLES,
) -> DriftTest:
    """Compare shares of categories by a permutation test of Pearson's chi-squared.

    Tables with the same margins are drawn at random, so that rare categories need no pooling. The
    effect is from the total variation distance of the shares.
    """
    names, table = _count_categories(reference, requests)
    p = 1.0
    if len(names) > 1:
        method = scipy.stats.MonteCarloMethod(
            n_resamples=resamples, rng=np.random.default_rng(seed)
        )
        p = float(scipy.stats.chi2_contingency(table, correction=False, method=method).pvalue)
    shares = table / table.sum(axis=1, keepdims=True)
    differences = shares[1] - shares[0]
    by_name = dict(zip(names, differences.tolist(), strict=True))
    rows = zip(names, shares[0].tolist(), shares[1].tolist(), strict=True)
    return DriftTest(
        name=name,
        texts=(len(reference), len(requests)),
        effect=subtract_chance(float(np.abs(differences).sum() / 2), _compute_mean_distance(table)),
        p=p,
        shares=sorted(rows, key=lambda row: row[1] - row[2]),
        typicality=np.array([by_name.get(value, by_name.get(OTHERS, 0)) for value in requests]),
    )


def _compute_mean_distance(table: NDArray[np.int64]) -> float:
    """Return the mean total variation distance without a difference, by the normal approximation.

    `table` has the counts of categories of both sides, (2, categories).
    """
    shares = table.sum(axis=0) / table.sum()
    deviations = np.sqrt(shares * (1 - shares) * (1 / table.sum(axis=1)).sum())
    return float(math.sqrt(2 / math.pi) * deviations.sum() / 2)


def _count_categories(
    reference: NDArray[Any], requests: NDArray[Any]
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the categories and their counts, (2, categories); the rarest are pooled."""
    counts = [Counter(values.tolist()) for values in (reference, requests)]
    frequent = [value for value, _ in (counts[0] + counts[1]).most_common(MAX_CATEGORIES)]
    table = [[count[value] for value in frequent] for count in counts]
    rest = [
        len(values) - sum(row) for values, row in zip((reference, requests), table, strict=True)
    ]
    if not any(rest):
        return frequent, np.array(table)
    return [*frequent, OTHERS], np.array([[*row, n] for row, n in zip(table, rest, strict=True)])


def compare_ngrams(name: str, reference: Any, requests: Any, seed: int) -> DriftTest:
    """Compare n-grams by a classifier that tells requests from training records.

    It learns from one half of the texts; its scores of the other half are compared (Lopez-Paz and
    Oquab, Revisiting Classifier Two-Sample Tests, 2017). Rows are in random order.
    """
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    cuts = reference.shape[0] // 2, requests.shape[0] // 2
    rows = vstack([reference[: cuts[0]], requests[: cuts[1]]])
    classifier = LogisticRegression(
        class_weight="balanced", solver="liblinear", random_state=seed % 2**31
    )
    classifier.fit(rows, np.arange(sum(cuts)) >= cuts[0])
    before = classifier.decision_function(reference[cuts[0] :])
    after = classifier.decision_function(requests[cuts[1] :])
    test = compare_numbers(name, before, after, "{:.2f}".format, "higher")
    return DriftTest(
        name=name,
        texts=test.texts,
        effect=test.effect,
        p=test.p,
        shares=_count_recognized(before, after),
        typicality=np.concatenate([np.full(cuts[1], np.nan), after]),
    )


def _count_recognized(before: Numbers, after: Numbers) -> list[tuple[str, float, float]]:
    """Return the shares of texts above the score that separates both sides best."""
    result = scipy.stats.ks_2samp(after, before, alternative="less", method="asymp")
    first, second = (
        float((scores > result.statistic_location).mean()) for scores in (before, after)
    )
    return [("unlike training", first, second), ("like training", 1 - first, 1 - second)]


def compute_new_words(
    reference: Sequence[frozenset[str]], requests: Sequence[frozenset[str]]
) -> tuple[Numbers, Numbers, Counter[str]]:
    """Return the share of each text's words that no other training record has.

    A training record is compared with all others, a request with all of them, so that both have the
    same distribution without drift. The last value counts the requests with each unseen word.
    """
    counts = Counter(word for words in reference for word in words)
    unseen = [{word for word in words if word not in counts} for words in requests]
    before = [sum(counts[word] == 1 for word in words) / max(1, len(words)) for words in reference]
    after = [len(new) / max(1, len(all)) for new, all in zip(unseen, requests, strict=True)]
    frequent = Counter(word for words in unseen for word in words)
    return np.array(before), np.array(after), frequent
