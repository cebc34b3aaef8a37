"""Intervals cover what they promise, tests alarm no more often than they promise."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from lockstep.statistics import confidence_intervals
from lockstep.statistics.confidence_intervals import Interval, Numbers, Weights


def means(values: Numbers) -> Callable[[Weights], Numbers]:
    """The mean of each column, (records, columns), under weights."""
    return lambda weights: np.moveaxis((weights @ values) / weights.sum(-1)[..., None], -1, 0)


def test_wilson_s_interval_of_newcombe():
    """Newcombe (1998), Table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for right, records, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = confidence_intervals.compute_share_interval(right, records)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("records", [50, 200])
def test_wilson_s_interval_covers_95_percent(records: int):
    """Over true shares from 5 to 95 %, each weighted by how often it gives a count; exactly."""
    shares = np.linspace(0.05, 0.95, 181)
    found = [
        confidence_intervals.compute_share_interval(right, records) for right in range(records + 1)
    ]
    low, high = (np.array([getattr(i, end) for i in found]) for end in ("low", "high"))
    often = stats.binom.pmf(np.arange(records + 1), records, shares[:, None])
    covered = (low <= shares[:, None]) & (shares[:, None] <= high)
    assert (often * covered).sum(-1).mean() == pytest.approx(0.95, abs=0.02)


@pytest.mark.slow
def test_bootstrapped_intervals_cover_95_percent():
    """Of the mean of a skewed score, 1,000 samples of 150 records."""
    draw = np.random.default_rng(1)
    truth, covered = 1 / 3, 0
    for seed in range(1000):
        figures = means(draw.beta(1, 2, size=(150, 1)))
        [spread] = confidence_intervals.bootstrap(figures, 150, seed)
        covered += spread.interval.low <= truth <= spread.interval.high
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)


def test_the_bootstrap_knows_the_error_of_a_mean():
    values = np.random.default_rng(2).normal(size=(400, 2)) * [1, 3]
    for spread, column in zip(
        confidence_intervals.bootstrap(means(values), 400, 7), values.T, strict=True
    ):
        assert spread.standard_error == pytest.approx(stats.sem(column), rel=0.1)
    again = confidence_intervals.bootstrap(means(values), 400, 7)
    assert again == confidence_intervals.bootstrap(means(values), 400, 7)


def test_the_jackknife_of_a_mean_is_its_textbook_interval():
    values = np.random.default_rng(3).normal(size=(60, 1))
    [spread] = confidence_intervals.jackknife(means(values), 60)
    width = stats.norm.ppf(0.975) * stats.sem(values[:, 0])
    assert spread.standard_error == pytest.approx(stats.sem(values[:, 0]))
    mean = values.mean()
    assert spread.interval == Interval(*map(pytest.approx, (mean - width, mean + width)))


def test_mcnemar_is_the_exact_binomial_test():
    assert confidence_intervals.compute_mcnemar_p(0, 0) == 1
    assert confidence_intervals.compute_mcnemar_p(0, 5) == pytest.approx(2 / 2**5)
    assert confidence_intervals.compute_mcnemar_p(2, 10) == 2 * (1 + 12 + 66) / 2**12
    assert (
        confidence_intervals.compute_mcnemar_p(0, confidence_intervals.compute_fewest_changes())
        < 0.05
    )
    assert (
        confidence_intervals.compute_mcnemar_p(0, confidence_intervals.compute_fewest_changes() - 1)
        > 0.05
    )


def test_permutation_finds_scipy_s_p():
    draw = np.random.default_rng(4)
    before = draw.normal(size=(80, 2))
    after = before + draw.normal([0.02, 0.1], 0.4, size=(80, 2))
    found = confidence_intervals.compute_permutation_p(
        means(np.concatenate([before, after])), 80, 7
    )
    for p, difference in zip(found, (after - before).T, strict=True):
        theirs = stats.permutation_test(
            (difference,), np.mean, permutation_type="samples", n_resamples=10_000, rng=draw
        )
        assert p == pytest.approx(theirs.pvalue, abs=0.02)


def test_permutation_of_few_records_is_the_exact_share():
    """Four records, all better by one: 2 of the 16 exchanges are as large."""
    values = np.array([[0.0], [0], [0], [0], [1], [1], [1], [1]])
    [p] = confidence_intervals.compute_permutation_p(means(values), 4, 7)
    assert p == pytest.approx(2 / 16, abs=0.01)


@pytest.mark.slow
def test_without_a_difference_one_test_in_twenty_alarms_at_most():
    draw = np.random.default_rng(5)
    alarms, exact = 0, 0
    for seed in range(1000):
        scores = draw.beta(1, 2, size=(2, 60, 1))
        [p] = confidence_intervals.compute_permutation_p(means(scores.reshape(-1, 1)), 60, seed)
        alarms += p < 0.05
        before, after = draw.random((2, 60)) < 0.8
        exact += (
            confidence_intervals.compute_mcnemar_p(
                int((after & ~before).sum()), int((before & ~after).sum())
            )
            < 0.05
        )
    bound = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)
    assert 0.03 < alarms / 1000 < bound
    assert exact / 1000 < bound


def test_holm_s_own_example():
    """Holm (1979) steps down: 4 tests, each p times how many are left, never falling."""
    assert confidence_intervals.adjust_p_values([0.01, 0.04, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )
    assert confidence_intervals.adjust_p_values([0.9, 0.8]) == [1.0, 1.0]
    assert confidence_intervals.adjust_p_values([]) == []


@pytest.mark.slow
def test_many_tests_together_alarm_once_in_twenty_families():
    draw = np.random.default_rng(6)
    families = draw.random((4000, 12))
    alarms = sum(
        min(confidence_intervals.adjust_p_values(list(family))) < 0.05 for family in families
    )
    assert alarms / 4000 == pytest.approx(0.05, abs=0.012)


def test_a_detectable_difference_is_found_in_four_cases_of_five():
    draw = np.random.default_rng(8)
    error = 1 / math.sqrt(200)
    truth = confidence_intervals.compute_detectable_difference(error)
    found = [
        stats.ttest_1samp(draw.normal(truth, 1, size=200), 0).pvalue < 0.05 for _ in range(2000)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)
