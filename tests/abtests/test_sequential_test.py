"""Simulations of A/B tests that are looked at every day: their error rates are those stated."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from lockstep.abtests import sample_size, sequential_test
from lockstep.abtests.abtest_results import MINIMUM_USERS, SAMPLE_RATIO_LEVEL
from lockstep.multiple_testing import LEVEL
from lockstep.serving.abtest_plan import OutcomePlan

EXPERIMENTS, DAYS, USERS_PER_DAY = 2000, 30, 200
POWER = 0.8
PLAN = OutcomePlan(outcome="converted", baseline=0.1, minimum_effect=0.03)
PURCHASES = OutcomePlan(
    outcome="revenue", baseline=1.0, minimum_effect=0.5, standard_deviation=7.31
)
"""Revenue as drawn by `draw_purchases`."""

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


def draw_purchases(generator: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Draw the revenue of users of whom 5% buy, for an amount with a heavy tail; the mean is 1."""
    amounts = generator.lognormal(math.log(20) - 0.5, 1, size)
    return np.where(generator.random(size) < 0.05, amounts, 0.0)


def draw_conversions(share: float) -> Draw:
    return lambda generator, size: (generator.random(size) < share).astype(float)


@dataclass
class Looks:
    """Differences and standard errors at the end of each day, (experiments, days) each."""

    differences: NDArray[np.float64]
    errors: NDArray[np.float64]
    welch_errors: NDArray[np.float64]
    users: NDArray[np.int64]
    """Users of the smaller variant, (days,)."""

    def find_misses(self, plan: OutcomePlan, truth: float = 0.0) -> NDArray[np.bool_]:
        """Return at which looks the interval misses the true difference."""
        return self._exceed(plan, self.errors, truth)

    def find_misses_of_welch(self, plan: OutcomePlan) -> NDArray[np.bool_]:
        """Return the same for Welch's standard error."""
        return self._exceed(plan, self.welch_errors, 0.0)

    def _exceed(
        self, plan: OutcomePlan, errors: NDArray[np.float64], truth: float
    ) -> NDArray[np.bool_]:
        margin = np.vectorize(sample_size.plan_test(plan.minimum_effect, POWER).compute_margin)
        tested = (self.users >= MINIMUM_USERS) & (errors > 0)
        margins = margin(np.where(tested, errors, 1.0))
        return tested & (np.abs(self.differences - truth) > margins)


def simulate_looks(
    draws: tuple[Draw, Draw],
    share: float = 0.5,
    users_per_day: int = USERS_PER_DAY,
    days: int = DAYS,
    experiments: int = EXPERIMENTS,
) -> Looks:
    """Simulate experiments in which this share of the new users of each day is in b."""
    generator = np.random.default_rng(5)
    in_b = round(users_per_day * share)
    means, variances, counts = [], [], []
    for draw, number in zip(draws, (users_per_day - in_b, in_b), strict=True):
        values = draw(generator, (experiments, days, number))
        count = number * np.arange(1, days + 1)
        mean = values.sum(axis=2).cumsum(axis=1) / count
        square = (values**2).sum(axis=2).cumsum(axis=1) / count
        means.append(mean)
        variances.append((square - mean**2) * count / (count - 1))
        counts.append(count)
    variance = np.vectorize(lambda *each: sample_size.compute_variance(each[:2], each[2:]))
    return Looks(
        differences=means[1] - means[0],
        errors=np.sqrt(variance(*variances, *counts)),
        welch_errors=np.sqrt(variances[0] / counts[0] + variances[1] / counts[1]),
        users=np.minimum(*counts),
    )


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize(
    ("draw", "plan"), [(draw_conversions(0.1), PLAN), (draw_purchases, PURCHASES)]
)
def test_false_alarms_of_daily_looks_stay_below_the_level(
    share: float, draw: Draw, plan: OutcomePlan
) -> None:
    looks = simulate_looks((draw, draw), share, experiments=500)
    assert looks.find_misses(plan).any(axis=1).mean() <= LEVEL
    single_tests = np.abs(looks.differences) > 1.96 * looks.welch_errors  # which one look allows
    assert single_tests.any(axis=1).mean() > 2.5 * LEVEL


def test_welch_s_standard_error_alone_would_cause_false_alarms() -> None:
    """In the first days, few users of b buy, and their variance is far too small."""
    looks = simulate_looks((draw_purchases, draw_purchases), 0.1, experiments=500)
    assert looks.find_misses_of_welch(PURCHASES).any(axis=1).mean() > LEVEL


def test_the_interval_covers_the_truth_at_all_looks_together() -> None:
    looks = simulate_looks((draw_conversions(0.1), draw_conversions(0.12)), experiments=1000)
    assert looks.find_misses(PLAN, 0.02).any(axis=1).mean() <= LEVEL
    outside = np.abs(looks.differences - 0.02) > 1.96 * looks.errors
    assert outside.any(axis=1).mean() > 4 * LEVEL


def test_the_planned_users_find_the_minimum_effect() -> None:
    """The last look alone has the planned power; all looks together have more, and end earlier."""
    users = sample_size.compute_sample_size(
        PLAN.minimum_effect, PLAN.variances, 0.5, POWER
    ).sequential
    draws = draw_conversions(0.1), draw_conversions(0.13)
    found = simulate_looks(draws, users_per_day=users // 20, days=20, experiments=1000).find_misses(
        PLAN
    )
    assert found[:, -1].mean() == pytest.approx(POWER, abs=0.03)
    assert POWER < found.any(axis=1).mean() < 0.9
    days = np.where(found.any(axis=1), found.argmax(axis=1) + 1, 20)
    assert days.mean() < 0.65 * 20


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


@pytest.mark.parametrize(
    ("planned", "share", "low", "high"),
    [(0.5, 0.5, 0, 0.01), (0.1, 0.1, 0, 0.01), (0.5, 0.46, 0.95, 1), (0.1, 0.08, 0.95, 1)],
)
def test_a_wrong_ratio_of_users_is_found_and_a_right_one_is_not(
    planned: float, share: float, low: float, high: float
) -> None:
    generator = np.random.default_rng(7)
    second = generator.binomial(USERS_PER_DAY, share, (500, DAYS)).cumsum(axis=1)
    users = USERS_PER_DAY * np.arange(1, DAYS + 1)
    alarms = [
        any(
            sequential_test.compute_sample_ratio_p((total - count, count), (1 - planned, planned))
            < SAMPLE_RATIO_LEVEL
            for total, count in zip(users, row, strict=True)
        )
        for row in second
    ]
    assert low <= np.mean(alarms) <= high
