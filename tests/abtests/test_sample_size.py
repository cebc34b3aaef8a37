"""Numbers of users, compared with published examples."""

import pytest

from lockstep.abtests import sample_size
from lockstep.serving.abtest_plan import OutcomePlan


def test_users_for_two_shares() -> None:
    """Chow, Shao and Wang (2008, section 4.2.4): 0.65 against 0.85 needs 70 users for each arm."""
    plan = OutcomePlan(outcome="converted", baseline=0.65, minimum_effect=0.2)
    assert sample_size.compute_sample_size(plan, 0.5, 0.8).single_look == pytest.approx(140, abs=1)


def test_users_for_two_means() -> None:
    """Chow, Shao and Wang (2008, section 3.2.4): 5 at a deviation of 10 needs 63 for each arm."""
    plan = OutcomePlan(outcome="revenue", baseline=20, minimum_effect=5, standard_deviation=10)
    assert sample_size.compute_sample_size(plan, 0.5, 0.8).single_look == pytest.approx(126, abs=1)


def test_an_unequal_share_and_more_power_need_more_users() -> None:
    plan = OutcomePlan(outcome="converted", baseline=0.1, minimum_effect=0.03)
    half = sample_size.compute_sample_size(plan, 0.5, 0.8)
    assert sample_size.compute_sample_size(plan, 0.1, 0.8).sequential > 2 * half.sequential
    assert sample_size.compute_sample_size(plan, 0.5, 0.9).sequential > half.sequential
    assert half.single_look < half.sequential < 3 * half.single_look
