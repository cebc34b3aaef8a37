"""Numbers of users, compared with published examples."""

import pytest

from lockstep.abtests.sample_size import SampleSize, compute_sample_size, compute_variance
from lockstep.serving.abtest_plan import OutcomePlan


def compute_size(plan: OutcomePlan, share: float, power: float, level: float = 0.05) -> SampleSize:
    return compute_sample_size(plan.minimum_effect, plan.variances, share, power, level)


def test_users_for_two_shares() -> None:
    """Chow, Shao and Wang (2008, section 4.2.4): 0.65 against 0.85 needs 70 users for each arm."""
    plan = OutcomePlan(outcome="converted", baseline=0.65, minimum_effect=0.2)
    assert compute_size(plan, 0.5, 0.8).single_look == pytest.approx(140, abs=1)


def test_users_for_two_means() -> None:
    """Chow, Shao and Wang (2008, section 3.2.4): 5 at a deviation of 10 needs 63 for each arm."""
    plan = OutcomePlan(outcome="revenue", baseline=20, minimum_effect=5, standard_deviation=10)
    assert compute_size(plan, 0.5, 0.8).single_look == pytest.approx(126, abs=1)


def test_an_unequal_share_and_more_power_need_more_users() -> None:
    plan = OutcomePlan(outcome="converted", baseline=0.1, minimum_effect=0.03)
    half = compute_size(plan, 0.5, 0.8)
    assert compute_size(plan, 0.1, 0.8).sequential > 2 * half.sequential
    assert compute_size(plan, 0.5, 0.9).sequential > half.sequential
    assert half.single_look < half.sequential < 3 * half.single_look
    assert compute_size(plan, 0.5, 0.8, 0.025).sequential > half.sequential


def test_the_variance_of_a_difference_is_the_larger_of_welch_s_and_the_pooled_one() -> None:
    assert compute_variance((4.0, 9.0), (100, 100)) == pytest.approx(0.13)  # both are the same
    assert compute_variance((4.0, 9.0), (200, 50)) == pytest.approx(0.02 + 0.18)  # Welch
    pooled = (200 * 4 + 50 * 1) / 250 * (1 / 200 + 1 / 50)
    assert compute_variance((4.0, 1.0), (200, 50)) == pytest.approx(pooled)
    assert pooled > 4 / 200 + 1 / 50
