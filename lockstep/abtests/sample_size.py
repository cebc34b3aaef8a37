"""Numbers of users that an A/B test needs to find its minimum effect with the planned power."""

import math
from dataclasses import dataclass

import scipy

from lockstep.abtests import sequential_test
from lockstep.abtests.abtest_plan import OutcomePlan
from lockstep.abtests.sequential_test import MixtureTest
from lockstep.multiple_testing import LEVEL


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Numbers of users of both variants together."""

    single_look: int
    """Users for one test at the end (normal approximation)."""
    sequential: int
    """Users at which the sequential test has found the minimum effect with the planned power. A
    test that is looked at daily ends earlier on average if the effect is there."""


def compute_information(effect: float, power: float) -> float:
    """Return the information, 1 / standard error², at which one two-sided test finds an effect.

    The formula is the usual one, e.g. Chow, Shao and Wang (2008, sections 3.2 and 4.2).
    """
    quantiles = scipy.stats.norm.ppf(1 - LEVEL / 2) + scipy.stats.norm.ppf(power)
    return float((quantiles / effect) ** 2)


def plan_test(effect: float, power: float) -> MixtureTest:
    """Return the sequential test that is tuned to the information of the single test."""
    return sequential_test.build_test(compute_information(effect, power))


def compute_sample_size(plan: OutcomePlan, share: float, power: float) -> SampleSize:
    """Return the users needed for an outcome if this share is assigned to variant b."""
    return SampleSize(
        count_users(compute_information(plan.minimum_effect, power), plan.variances, share),
        count_users(
            compute_sequential_information(plan.minimum_effect, power), plan.variances, share
        ),
    )


def compute_sequential_information(effect: float, power: float) -> float:
    """Return the information at which the sequential test has found an effect with this power."""
    test, least = plan_test(effect, power), compute_information(effect, power)

    def exceed_power(log_information: float) -> float:
        return test.compute_power(effect, math.exp(-log_information / 2)) - power

    root = scipy.optimize.brentq(exceed_power, math.log(least), math.log(1000 * least))
    return math.exp(root)


def count_users(information: float, variances: tuple[float, float], share: float) -> int:
    """Return the users that give this information, if their variances in a and b are these."""
    first, second = variances
    return math.ceil(information * (first / (1 - share) + second / share))
