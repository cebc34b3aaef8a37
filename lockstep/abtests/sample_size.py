"""Numbers of users that an A/B test needs to find its minimum effect with the planned power."""

import math
from dataclasses import dataclass

import scipy

from lockstep.abtests import sequential_test
from lockstep.abtests.abtest_plan import AbTestPlan, OutcomePlan
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


def compute_information(plan: OutcomePlan, power: float) -> float:
    """Return the information, 1 / standard error², that one two-sided test needs.

    The formula is the usual one, e.g. Chow, Shao and Wang (2008, sections 3.2 and 4.2).
    """
    quantiles = scipy.stats.norm.ppf(1 - LEVEL / 2) + scipy.stats.norm.ppf(power)
    return float((quantiles / plan.minimum_effect) ** 2)


def build_test(plan: OutcomePlan, power: float) -> MixtureTest:
    """Return the sequential test of an outcome, tuned to the size of the single test."""
    return sequential_test.build_test(compute_information(plan, power))


def compute_sample_size(plan: OutcomePlan, share: float, power: float) -> SampleSize:
    """Return the users needed for an outcome if this share is assigned to variant b."""
    test = build_test(plan, power)
    least = compute_information(plan, power)

    def exceed_power(log_information: float) -> float:
        standard_error = math.exp(-log_information / 2)
        return test.compute_power(plan.minimum_effect, standard_error) - power

    sequential = math.exp(
        scipy.optimize.brentq(exceed_power, math.log(least), math.log(1000 * least))
    )
    return SampleSize(
        count_users(least, plan.variances, share), count_users(sequential, plan.variances, share)
    )


def count_users(information: float, variances: tuple[float, float], share: float) -> int:
    """Return the users that give this information, if their variances in a and b are these."""
    first, second = variances
    return math.ceil(information * (first / (1 - share) + second / share))


def format_sample_sizes(plan: AbTestPlan) -> list[list[str]]:
    """Return a row for each outcome: name, minimum effect, users for one look, users, days."""
    rows = []
    for outcome in plan.outcomes:
        size = compute_sample_size(outcome, plan.share, plan.power)
        days = "-" if plan.users_per_day is None else f"{size.sequential / plan.users_per_day:.1f}"
        rows.append(
            [
                outcome.outcome,
                f"{outcome.baseline:g} + {outcome.minimum_effect:g}",
                f"{size.single_look:,}",
                f"{size.sequential:,}",
                days,
            ]
        )
    return rows
