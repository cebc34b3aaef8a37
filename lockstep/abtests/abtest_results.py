"""Results of an A/B test at one look: outcomes, guardrails, sample ratio, and the decision."""

import math
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

import numpy as np

from lockstep import multiple_testing
from lockstep.abtests import sample_size
from lockstep.abtests.outcome_table import OutcomeTable
from lockstep.abtests.sequential_test import compute_sample_ratio_p
from lockstep.multiple_testing import LEVEL
from lockstep.serving.abtest_plan import (
    UNKNOWN_WITHOUT_REPORT,
    AbTestPlan,
    Guardrail,
    Measure,
    Outcome,
    OutcomePlan,
)
from lockstep.statistics.confidence_intervals import Interval

MINIMUM_USERS = 100
"""Users of each variant below which nothing is tested, since means are not nearly normal yet."""
SHARES: frozenset[Outcome | Measure] = frozenset(("resolved", "converted", "refused", "failed"))
"""Outcomes and measures whose values are from 0 to 1."""
SAMPLE_RATIO_LEVEL = 0.01
"""Level of the test of the sample ratio; below it, no outcome can be trusted."""

Decision = Literal[
    "invalid",
    "guardrail violated",
    "b is better",
    "b is better, guardrails open",
    "b is worse",
    "no relevant difference",
    "go on",
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
    """Probability that a look with this many users finds the minimum effect or, for a guardrail,
    shows that the margin is kept if there is no difference."""
    report_ratio_p: float = 1.0
    """P-value of equal shares of users of whom the outcome was reported, at all looks."""

    @property
    def difference(self) -> float:
        """Mean of variant b minus that of variant a."""
        return self.means[1] - self.means[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All results of a look.

    The interval of the primary outcome holds at the usual level. Those of all secondary outcomes
    hold together at that level, and so do those of all guardrails (Bonferroni). The p-values of
    secondary outcomes are corrected by Holm's method.
    """

    outcomes: list[Comparison]
    guardrails: list[tuple[Guardrail, Comparison]]
    sample_ratio_p: float
    required_users: int
    """Users that the primary outcome needs, from its measured variance where there is one. Only
    users of whom it is known count."""
    decision: Decision


def compute_results(table: OutcomeTable, plan: AbTestPlan) -> Results:
    """Compare the variants in the users of a table."""
    sample_ratio_p = compute_sample_ratio_p(table.assigned, (1 - plan.share, plan.share))
    primary = _compare_outcome(table, plan.primary, plan, LEVEL)
    secondary = [
        _compare_outcome(table, outcome, plan, plan.secondary_level) for outcome in plan.secondary
    ]
    guardrails = [
        (guardrail, _compare_measure(table, guardrail, plan)) for guardrail in plan.guardrails
    ]
    return Results(
        outcomes=[primary, *_correct_p_values(secondary)],
        guardrails=guardrails,
        sample_ratio_p=sample_ratio_p,
        required_users=_count_required_users(table, plan),
        decision=_decide(primary, guardrails, sample_ratio_p, plan),
    )


def _compare_outcome(
    table: OutcomeTable, outcome: OutcomePlan, plan: AbTestPlan, level: float
) -> Comparison:
    values = table.collect_outcome(outcome, "a"), table.collect_outcome(outcome, "b")
    comparison = compare(outcome.outcome, values, outcome.minimum_effect, plan.power, level)
    if outcome.outcome not in UNKNOWN_WITHOUT_REPORT:
        return comparison
    p = compute_sample_ratio_p(comparison.users, (1 - plan.share, plan.share))
    return replace(comparison, report_ratio_p=p)


def _compare_measure(table: OutcomeTable, guardrail: Guardrail, plan: AbTestPlan) -> Comparison:
    measure = guardrail.measure
    values = table.collect_measure(measure, "a"), table.collect_measure(measure, "b")
    return compare(measure, values, guardrail.margin, plan.power, plan.guardrail_level)


def compare(
    name: str,
    values: tuple[list[float], list[float]],
    effect: float,
    power: float,
    level: float = LEVEL,
) -> Comparison:
    """Compare the means of the users of variants a and b by the sequential test of an effect."""
    users = len(values[0]), len(values[1])
    means = tuple(fmean(sample) if sample else math.nan for sample in values)
    comparison = Comparison(
        name=name, users=users, means=(means[0], means[1]), interval=None, p=1.0, power=0.0
    )
    if min(users) < MINIMUM_USERS:
        return comparison
    error = _compute_error(values, is_share=name in SHARES)
    if not error:  # all values are equal: there is nothing to estimate the error from
        return comparison
    test = sample_size.plan_test(effect, power)
    return replace(
        comparison,
        interval=test.compute_interval(comparison.difference, error, level),
        p=test.compute_p(comparison.difference, error),
        power=test.compute_power(effect, error, level),
    )


def _compute_error(values: tuple[list[float], list[float]], is_share: bool) -> float:
    """Return the standard error of the difference of the means.

    Shares of 0 or 1 have no variance. Then one more user with the other value is added to each
    variant, so that a hundred requests without a failure do not prove that there are none.
    """
    users = len(values[0]), len(values[1])
    variance = sample_size.compute_variance(_compute_variances(values), users)
    if is_share and not variance:
        more = [*values[0], 1 - values[0][0]], [*values[1], 1 - values[1][0]]
        variance = sample_size.compute_variance(_compute_variances(more), users)
    return math.sqrt(variance)


def _compute_variances(values: tuple[list[float], list[float]]) -> tuple[float, float]:
    return float(np.var(values[0], ddof=1)), float(np.var(values[1], ddof=1))


def _correct_p_values(outcomes: list[Comparison]) -> list[Comparison]:
    p_values = multiple_testing.adjust_p_values([outcome.p for outcome in outcomes])
    return [replace(outcome, p=p) for outcome, p in zip(outcomes, p_values, strict=True)]


def _count_required_users(table: OutcomeTable, plan: AbTestPlan) -> int:
    primary, variances = plan.primary, plan.primary.variances
    samples = table.collect_outcome(primary, "a"), table.collect_outcome(primary, "b")
    if min(map(len, samples)) >= MINIMUM_USERS:
        variances = _compute_variances(samples)
    information = sample_size.compute_sequential_information(primary.minimum_effect, plan.power)
    return sample_size.count_users(information, variances, plan.share)


GuardrailState = Literal["violated", "holds", "open"]


def judge_guardrail(guardrail: Guardrail, comparison: Comparison) -> GuardrailState:
    """Return whether a guardrail is proven to be violated, proven to hold, or neither."""
    interval = comparison.interval
    if interval is None:
        return "open"
    if interval.low > guardrail.margin:
        return "violated"
    return "holds" if interval.high < guardrail.margin else "open"


def _decide(
    primary: Comparison,
    guardrails: list[tuple[Guardrail, Comparison]],
    sample_ratio_p: float,
    plan: AbTestPlan,
) -> Decision:
    """Decide at this look.

    "no relevant difference" means that the interval excludes the minimum effect in both directions.
    A guardrail is violated if its whole interval lies above the margin, and holds if it lies below.
    """
    if sample_ratio_p < SAMPLE_RATIO_LEVEL:
        return "invalid"
    states = [judge_guardrail(guardrail, comparison) for guardrail, comparison in guardrails]
    if "violated" in states:
        return "guardrail violated"
    if primary.interval is None:
        return "go on"
    if primary.p < LEVEL:
        if primary.difference < 0:
            return "b is worse"
        return "b is better" if {*states} <= {"holds"} else "b is better, guardrails open"
    effect = plan.primary.minimum_effect
    return (
        "no relevant difference"
        if -effect < primary.interval.low and primary.interval.high < effect
        else "go on"
    )
