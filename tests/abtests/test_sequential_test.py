"""Simulations of A/B tests that are looked at every day: their error rates are those stated."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from lockstep.abtests import sample_size, sequential_test
from lockstep.serving.abtest_plan import OutcomePlan
from lockstep.multiple_testing import LEVEL

EXPERIMENTS, DAYS, USERS_PER_DAY = 2000, 30, 200
PLAN = OutcomePlan(outcome="converted", baseline=0.1, minimum_effect=0.03)


def simulate_looks(
    shares: tuple[float, float], experiments: int = EXPERIMENTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return difference and standard error at the end of each day, (experiments, days) each."""
    generator = np.random.default_rng(5)
    users = USERS_PER_DAY * np.arange(1, DAYS + 1)
    means = [
        generator.binomial(USERS_PER_DAY, share, (experiments, DAYS)).cumsum(axis=1) / users
        for share in shares
    ]
    return means[1] - means[0], np.sqrt(sum(mean * (1 - mean) for mean in means) / users)


def find_alarms(differences: NDArray[np.float64], errors: NDArray[np.float64]) -> float:
    """Return the share of experiments in which any look is significant."""
    compute_p = np.vectorize(sample_size.plan_test(PLAN.minimum_effect, 0.8).compute_p)
    return float((compute_p(differences, errors) < LEVEL).any(axis=1).mean())


def test_false_alarms_of_daily_looks_stay_below_the_level() -> None:
    differences, errors = simulate_looks((0.1, 0.1))
    assert find_alarms(differences, errors) <= LEVEL
    single_tests = np.abs(differences / errors) > 1.96  # the usual test, which one look allows
    assert single_tests.any(axis=1).mean() > 4 * LEVEL


def test_the_interval_covers_the_truth_at_all_looks_together() -> None:
    differences, errors = simulate_looks((0.1, 0.12))
    margins = np.vectorize(sample_size.plan_test(PLAN.minimum_effect, 0.8).compute_margin)(errors)
    missed = (np.abs(differences - 0.02) > margins).any(axis=1).mean()
    assert missed <= LEVEL
    assert (np.abs(differences - 0.02) > 1.96 * errors).any(axis=1).mean() > 4 * LEVEL


def test_the_planned_users_find_the_minimum_effect() -> None:
    users = sample_size.compute_sample_size(PLAN, 0.5, 0.8).sequential
    generator = np.random.default_rng(6)
    counts = generator.binomial(users // 2, (0.1, 0.13), (EXPERIMENTS, 2)) / (users // 2)
    errors = np.sqrt((counts * (1 - counts)).sum(axis=1) / (users // 2))
    compute_p = np.vectorize(sample_size.plan_test(PLAN.minimum_effect, 0.8).compute_p)
    found = (compute_p(counts[:, 1] - counts[:, 0], errors) < LEVEL).mean()
    assert found == pytest.approx(0.8, abs=0.03)


def test_p_value_and_interval_agree() -> None:
    test = sample_size.plan_test(PLAN.minimum_effect, 0.8)
    margin = test.compute_margin(0.01)
    assert test.compute_p(margin, 0.01) == pytest.approx(LEVEL)
    assert test.compute_p(0.0, 0.01) == 1.0


def test_the_margin_is_that_of_the_published_confidence_sequence() -> None:
    """Compare with equation 8 of Waudby-Smith et al. (2024), written as there.

    t users of standard deviation s with their parameter rho.
    """
    t, s, rho = 500, 2.0, 0.07
    published = s * math.sqrt(
        2 * (t * rho**2 + 1) / (t**2 * rho**2) * math.log(math.sqrt(t * rho**2 + 1) / LEVEL)
    )
    test = sequential_test.MixtureTest(precision=1 / (s * rho) ** 2)
    assert test.compute_margin(s / math.sqrt(t)) == pytest.approx(published)


@pytest.mark.parametrize(("share", "low", "high"), [(0.5, 0, 0.01), (0.46, 0.95, 1)])
def test_a_wrong_ratio_of_users_is_found_and_a_right_one_is_not(
    share: float, low: float, high: float
) -> None:
    generator = np.random.default_rng(7)
    second = generator.binomial(USERS_PER_DAY, share, (500, DAYS)).cumsum(axis=1)
    users = USERS_PER_DAY * np.arange(1, DAYS + 1)
    alarms = [
        any(
            sequential_test.compute_sample_ratio_p((total - count, count), (0.5, 0.5)) < 0.01
            for total, count in zip(users, row, strict=True)
        )
        for row in second
    ]
    assert low <= np.mean(alarms) <= high
