"""Results of an A/B test at one look: outcomes, guardrails, sample ratio, and the decision."""

import math
from dataclasses import dataclass, replace
from statistics import fmean, variance
from typing import Literal

from lockstep import multiple_testing
from lockstep.abtests import sample_size
from lockstep.abtests.abtest_plan import AbTestPlan, Guardrail, OutcomePlan
from lockstep.abtests.outcome_table import OutcomeTable
from lockstep.abtests.sequential_test import compute_sample_ratio_p
from lockstep.multiple_testing import LEVEL
from lockstep.statistics.confidence_intervals import Interval

MINIMUM_USERS = 100
"""Users of each variant below which nothing is tested, since means are not nearly normal yet."""
SAMPLE_RATIO_LEVEL = 0.01
"""Level of the test of the sample ratio; below it, no outcome can be trusted."""

Decision = Literal[
    "invalid", "guardrail violated", "b is better", "b is worse", "no relevant difference", "go on"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An outcome or a measure in both variants."""

    name: str
    users: tuple[int, int]
    """Users of variants a and b with a value."""
    means: tuple[float, float]
    interval: Interval | None
    """Interval of b minus a at all looks together; None while it cannot be computed."""
    p: float
    power: float
    """Probability that a look with this many users finds the minimum effect."""

    @property
    def difference(self) -> float:
        """Mean of variant b minus that of variant a."""
        return self.means[1] - self.means[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All results of a look; p-values of secondary outcomes are corrected by Holm's method."""

    outcomes: list[Comparison]
    guardrails: list[tuple[Guardrail, Comparison]]
    sample_ratio_p: float
    required_users: int
    """Users that the primary outcome needs, from its measured variance where there is one."""
    decision: Decision


def compute_results(table: OutcomeTable, plan: AbTestPlan) -> Results:
    """Compare the variants in the users of a table."""
    counts = table.count_users("a"), table.count_users("b")
    sample_ratio_p = compute_sample_ratio_p(counts, (1 - plan.share, plan.share))
    outcomes = [_compare_outcome(table, outcome, plan) for outcome in plan.outcomes]
    guardrails = [
        (guardrail, _compare_measure(table, guardrail, plan)) for guardrail in plan.guardrails
    ]
    return Results(
        outcomes=_correct_secondary(outcomes),
        guardrails=guardrails,
        sample_ratio_p=sample_ratio_p,
        required_users=_count_required_users(table, plan),
        decision=_decide(outcomes[0], guardrails, sample_ratio_p, plan),
    )


def _compare_outcome(table: OutcomeTable, outcome: OutcomePlan, plan: AbTestPlan) -> Comparison:
    values = table.collect_outcome(outcome, "a"), table.collect_outcome(outcome, "b")
    return compare(outcome.outcome, values, outcome.minimum_effect, plan.power)


def _compare_measure(table: OutcomeTable, guardrail: Guardrail, plan: AbTestPlan) -> Comparison:
    values = (
        table.collect_measure(guardrail.measure, "a"),
        table.collect_measure(guardrail.measure, "b"),
    )
    return compare(guardrail.measure, values, guardrail.margin, plan.power)


def compare(
    name: str, values: tuple[list[float], list[float]], effect: float, power: float
) -> Comparison:
    """Compare the means of the users of variants a and b by the sequential test of an effect.

    The standard error is that of Welch: each variant has its own variance.
    """
    users = len(values[0]), len(values[1])
    means = tuple(fmean(sample) if sample else math.nan for sample in values)
    comparison = Comparison(
        name=name, users=users, means=(means[0], means[1]), interval=None, p=1.0, power=0.0
    )
    if min(users) < MINIMUM_USERS:
        return comparison
    error = math.sqrt(sum(variance(sample) / len(sample) for sample in values))
    if not error:  # all values are equal: there is nothing to estimate the error from
        return comparison
    test = sample_size.plan_test(effect, power)
    return replace(
        comparison,
        interval=test.compute_interval(comparison.difference, error),
        p=test.compute_p(comparison.difference, error),
        power=test.compute_power(effect, error),
    )


def _correct_secondary(outcomes: list[Comparison]) -> list[Comparison]:
    p_values = multiple_testing.adjust_p_values([outcome.p for outcome in outcomes[1:]])
    return [
        outcomes[0],
        *(replace(outcome, p=p) for outcome, p in zip(outcomes[1:], p_values, strict=True)),
    ]


def _count_required_users(table: OutcomeTable, plan: AbTestPlan) -> int:
    primary, variances = plan.primary, plan.primary.variances
    samples = table.collect_outcome(primary, "a"), table.collect_outcome(primary, "b")
    if min(map(len, samples)) >= MINIMUM_USERS:
        variances = variance(samples[0]), variance(samples[1])
    information = sample_size.compute_sequential_information(primary.minimum_effect, plan.power)
    return sample_size.count_users(information, variances, plan.share)


def _decide(
    primary: Comparison,
    guardrails: list[tuple[Guardrail, Comparison]],
    sample_ratio_p: float,
    plan: AbTestPlan,
) -> Decision:
    """Decide at this look.

    "no relevant difference" means that the interval excludes the minimum effect in both directions.
    A guardrail is violated if its whole interval lies above the margin.
    """
    if sample_ratio_p < SAMPLE_RATIO_LEVEL:
        return "invalid"
    for guardrail, comparison in guardrails:
        if comparison.interval is not None and comparison.interval.low > guardrail.margin:
            return "guardrail violated"
    if primary.interval is None:
        return "go on"
    if primary.p < LEVEL:
        return "b is better" if primary.difference > 0 else "b is worse"
    effect = plan.primary.minimum_effect
    return (
        "no relevant difference"
        if -effect < primary.interval.low and primary.interval.high < effect
        else "go on"
    )
