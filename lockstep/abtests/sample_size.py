"""Numbers of users that an A/B test needs to find its minimum effect with the planned power."""

import math
from dataclasses import dataclass

import scipy

from lockstep.abtests import sequential_test
from lockstep.abtests.sequential_test import MixtureTest
from lockstep.multiple_testing import LEVEL


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Numbers of users of both variants together."""

    single_look: int
    """Users for one test at the end (normal approximation)."""
    sequential: int
    """Users at which the last look of the sequential test finds the minimum effect with the planned
    power. Earlier looks find it, too, so a test that is looked at daily ends earlier on average."""


def compute_information(effect: float, power: float, level: float = LEVEL) -> float:
    """Return the information, 1 / standard error², at which one two-sided test finds an effect.

    The formula is the usual one, e.g. Chow, Shao and Wang (2008, sections 3.2 and 4.2).
    """
    quantiles = scipy.stats.norm.ppf(1 - level / 2) + scipy.stats.norm.ppf(power)
    return float((quantiles / effect) ** 2)


def plan_test(effect: float, power: float) -> MixtureTest:
    """Return the sequential test that is tuned to the information of the single test."""
    return sequential_test.build_test(compute_information(effect, power))


def compute_sequential_information(effect: float, power: float, level: float = LEVEL) -> float:
    """Return the information at which the sequential test has found an effect with this power."""
    test, least = plan_test(effect, power), compute_information(effect, power, level)

    def exceed_power(log_information: float) -> float:
        return test.compute_power(effect, math.exp(-log_information / 2), level) - power

    root = scipy.optimize.brentq(exceed_power, math.log(least), math.log(1000 * least))
    return math.exp(root)


def compute_sample_size(
    effect: float, variances: tuple[float, float], share: float, power: float, level: float = LEVEL
) -> SampleSize:
    """Return the users needed to find an effect if this share is assigned to variant b."""
    return SampleSize(
        count_users(compute_information(effect, power, level), variances, share),
        count_users(compute_sequential_information(effect, power, level), variances, share),
    )


def count_users(information: float, variances: tuple[float, float], share: float) -> int:
    """Return the users that give this information, if their variances in a and b are these."""
    return math.ceil(information * compute_variance(variances, (1 - share, share)))


def compute_variance(variances: tuple[float, float], users: tuple[float, float]) -> float:
    """Return the variance of the difference of two means, from variances between users.

    It is the larger of Welch's, in which each variant has its own variance, and the pooled one. By
    chance, few users of the smaller variant may all lack a rare large value: their own variance
    is then far too small. With equal numbers of users, the two are the same.
    """
    welch = variances[0] / users[0] + variances[1] / users[1]
    total = sum(users)
    mean = (variances[0] * users[0] + variances[1] * users[1]) / total
    return max(welch, mean * (1 / users[0] + 1 / users[1]))
