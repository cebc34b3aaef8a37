"""Intervals have their confidence; tests have no more false positives than their level."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from lockstep.metrics.aggregation import Numbers, Weights
from lockstep.statistics import confidence_intervals
from lockstep.statistics.confidence_intervals import Interval


def make_means(values: Numbers) -> Callable[[Weights], Numbers]:
    """Return the mean of each column, (records, columns), as a function of weights."""
    return lambda weights: np.moveaxis((weights @ values) / weights.sum(-1)[..., None], -1, 0)


def test_wilsons_interval_equals_published_values() -> None:
    """Newcombe (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for right, records, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        interval = confidence_intervals.compute_share_interval(right, records)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("records", [50, 200])
def test_wilsons_interval_covers_95_percent(records: int) -> None:
    """Average the exact coverage over true shares from 5% to 95%."""
    shares = np.linspace(0.05, 0.95, 181)
    counts = np.arange(records + 1)
    intervals = [confidence_intervals.compute_share_interval(int(n), records) for n in counts]
    low, high = (np.array([getattr(i, end) for i in intervals]) for end in ("low", "high"))
    probability = stats.binom.pmf(counts, records, shares[:, None])
    is_covered = (low <= shares[:, None]) & (shares[:, None] <= high)
    assert (probability * is_covered).sum(-1).mean() == pytest.approx(0.95, abs=0.02)


def test_the_interval_of_a_mean_is_students_and_clipped() -> None:
    values = [3, 4, 4, 5]
    interval = confidence_intervals.compute_mean_interval(values, -math.inf, math.inf)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval == Interval(pytest.approx(expected.low), pytest.approx(expected.high))
    clipped = confidence_intervals.compute_mean_interval(values, 1, 5)
    assert clipped == Interval(pytest.approx(expected.low), 5)
    assert confidence_intervals.compute_mean_interval([4], 1, 5) is None


def make_exchanges(before: Numbers, after: Numbers) -> Callable[[Weights], Numbers]:
    """Return the difference of the means as a function of exchanges."""
    change = after - before
    return lambda exchanged: ((1 - 2 * exchanged) @ change / len(change)).T


@pytest.mark.slow
def test_the_bootstrap_covers_95_percent() -> None:
    """Estimate the mean of a skewed score from 1,000 samples of 150 records each."""
    generator = np.random.default_rng(1)
    true_mean, covered = 1 / 3, 0
    for seed in range(1000):
        means = make_means(generator.beta(1, 2, size=(150, 1)))
        [result] = confidence_intervals.bootstrap(means, 150, seed)
        covered += result.interval.low <= true_mean <= result.interval.high
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)


def test_the_bootstrap_estimates_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(2).normal(size=(400, 2)) * [1, 3]
    results = confidence_intervals.bootstrap(make_means(values), 400, 7)
    for result, column in zip(results, values.T, strict=True):
        assert result.standard_error == pytest.approx(stats.sem(column), rel=0.1)
    assert confidence_intervals.bootstrap(make_means(values), 400, 7) == results
    assert confidence_intervals.bootstrap(make_means(values), 400, 8) != results


def test_the_jackknife_of_a_mean_is_its_textbook_interval() -> None:
    values = np.random.default_rng(3).normal(size=(60, 1))
    [result] = confidence_intervals.jackknife(make_means(values), 60)
    assert result.standard_error == pytest.approx(stats.sem(values[:, 0]))
    margin = stats.norm.ppf(0.975) * stats.sem(values[:, 0])
    mean = values.mean()
    assert result.interval == Interval(*map(pytest.approx, (mean - margin, mean + margin)))


def test_mcnemar_is_the_exact_binomial_test() -> None:
    compute_p = confidence_intervals.compute_mcnemar_p
    assert compute_p(0, 0) == 1
    assert compute_p(0, 5) == pytest.approx(2 / 2**5)
    assert compute_p(2, 10) == 2 * (1 + 12 + 66) / 2**12
    fewest = confidence_intervals.compute_fewest_changes()
    assert compute_p(0, fewest) < 0.05 < compute_p(0, fewest - 1)


def test_the_permutation_test_equals_that_of_scipy() -> None:
    generator = np.random.default_rng(4)
    before = generator.normal(size=(80, 2))
    after = before + generator.normal([0.02, 0.1], 0.4, size=(80, 2))
    exchanges = make_exchanges(before, after)
    p_values = confidence_intervals.compute_permutation_p(exchanges, 80, 7)
    for p, difference in zip(p_values, (after - before).T, strict=True):
        expected = stats.permutation_test(
            (difference,), np.mean, permutation_type="samples", n_resamples=10_000, rng=generator
        )
        assert p == pytest.approx(expected.pvalue, abs=0.02)


def test_the_permutation_test_of_few_records_is_exact() -> None:
    """All four records improve by one, so 2 of the 16 exchanges give a difference as large."""
    exchanges = make_exchanges(np.zeros((4, 1)), np.ones((4, 1)))
    [p] = confidence_intervals.compute_permutation_p(exchanges, 4, 7)
    assert p == pytest.approx(2 / 16, abs=0.01)


@pytest.mark.slow
def test_without_a_difference_one_test_in_twenty_is_significant_at_most() -> None:
    generator = np.random.default_rng(5)
    permutation_positives, mcnemar_positives = 0, 0
    for seed in range(1000):
        scores = generator.beta(1, 2, size=(2, 60, 1))
        exchanges = make_exchanges(*scores)
        [p] = confidence_intervals.compute_permutation_p(exchanges, 60, seed)
        permutation_positives += p < 0.05
        before, after = generator.random((2, 60)) < 0.8
        better, worse = int((after & ~before).sum()), int((before & ~after).sum())
        mcnemar_positives += confidence_intervals.compute_mcnemar_p(better, worse) < 0.05
    bound = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)
    assert 0.03 < permutation_positives / 1000 < bound
    assert mcnemar_positives / 1000 < bound


def test_a_detectable_difference_is_detected_in_four_of_five_cases() -> None:
    generator = np.random.default_rng(8)
    standard_error = 1 / math.sqrt(200)
    difference = confidence_intervals.compute_detectable_difference(standard_error)
    is_detected = [
        stats.ttest_1samp(generator.normal(difference, 1, size=200), 0).pvalue < 0.05
        for _ in range(2000)
    ]
    assert np.mean(is_detected) == pytest.approx(0.8, abs=0.03)
