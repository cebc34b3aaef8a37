"""Text of a plan and of results, as Markdown tables whose columns line up in a terminal."""

import math
from datetime import UTC, datetime

from lockstep.abtests import sample_size
from lockstep.abtests.abtest_results import (
    MINIMUM_USERS,
    SAMPLE_RATIO_LEVEL,
    Comparison,
    Decision,
    GuardrailState,
    Results,
    judge_guardrail,
)
from lockstep.abtests.outcome_table import OutcomeTable
from lockstep.abtests.sample_size import SampleSize
from lockstep.multiple_testing import LEVEL
from lockstep.reporting.markdown_tables import format_table
from lockstep.serving.abtest_plan import AbTestPlan, Guardrail

MEANINGS: dict[Decision, str] = {
    "invalid": "The variants do not have the planned shares of users, so no outcome can be "
    "trusted. Find out which users are missing.",
    "guardrail violated": "Variant b makes a guardrail worse by more than its margin. "
    "Stop the test.",
    "b is better": "Variant b is better, and chance does not explain it. The test may stop.",
    "b is better, guardrails open": "Variant b is better, and chance does not explain it. Go on "
    "until every guardrail is shown to hold.",
    "b is worse": "Variant b is worse, and chance does not explain it. The test may stop.",
    "no relevant difference": "The interval excludes the minimum effect in both directions. "
    "The test may stop.",
    "go on": "Not decided yet. Go on; you may look as often as you like.",
}
"""Meaning of each decision."""
STATES: dict[GuardrailState, str] = {
    "violated": "violated",
    "holds": "within the margin",
    "open": "not shown yet",
}
"""Text of each state of a guardrail."""


def format_plan(plan: AbTestPlan) -> str:
    """Return the numbers of users that the outcomes and the guardrails of a plan need."""
    rows = []
    for outcome in plan.outcomes:
        level = LEVEL if outcome is plan.primary else plan.secondary_level
        size = sample_size.compute_sample_size(
            outcome.minimum_effect, outcome.variances, plan.share, plan.power, level
        )
        effect = f"{outcome.baseline:g} + {outcome.minimum_effect:g}"
        rows.append(_format_size(outcome.outcome, effect, size, outcome.report_rate, plan))
    for rail in plan.guardrails:
        if rail.standard_deviation is not None:
            variances = (rail.standard_deviation**2,) * 2
            size = sample_size.compute_sample_size(
                rail.margin, variances, plan.share, plan.power, plan.guardrail_level
            )
            rows.append(_format_size(rail.measure, f"below + {rail.margin:g}", size, 1.0, plan))
    header = "outcome", "effect", "users, one look", "users, any looks", "days"
    return (
        f"{format_table(header, rows)}\n\n"
        f"Users of both variants together, for a power of {plan.power:.0%} with {plan.share:.0%} "
        "of them in b.\nWith any number of looks, a test ends earlier on average if the effect is "
        f"there. The days\ninclude the window of the last users ({plan.window_days:g})."
    )


def _format_size(
    name: str, effect: str, size: SampleSize, report_rate: float, plan: AbTestPlan
) -> tuple[str, ...]:
    """Return a row; users of whom nothing is reported are needed in addition."""
    single, sequential = (
        math.ceil(users / report_rate) for users in (size.single_look, size.sequential)
    )
    days = "-"
    if plan.users_per_day is not None:
        days = f"{sequential / plan.users_per_day + plan.window_days:.1f}"
    return name, effect, f"{single:,}", f"{sequential:,}", days


def format_results(results: Results, table: OutcomeTable, plan: AbTestPlan) -> str:
    """Return the decision, the outcomes, the guardrails and the users that were left out."""
    header = "outcome", "a", "b", "b - a", "95% interval", "p", "power", "users"
    outcomes = [_format_row(outcome) for outcome in results.outcomes]
    parts = [
        f"{results.decision}: {MEANINGS[results.decision]}",
        str(format_table(header, outcomes)),
    ]
    if results.guardrails:
        columns = "guardrail", "a", "b", "b - a", "95% interval", "margin", "result"
        rows = [
            (*_format_row(values)[:5], f"{guardrail.margin:g}", _describe(guardrail, values))
            for guardrail, values in results.guardrails
        ]
        parts.append(str(format_table(columns, rows)))
    return "\n\n".join([*parts, "\n".join(_list_notes(results, table, plan))])


def _format_row(comparison: Comparison) -> tuple[str, ...]:
    interval = comparison.interval
    return (
        comparison.name,
        *(_format_mean(mean, ".4g") for mean in comparison.means),
        _format_mean(comparison.difference, "+.4g"),
        f"{interval.low:+.4g} to {interval.high:+.4g}" if interval else "-",
        _format_p(comparison.p) if interval else "-",
        f"{comparison.power:.0%}" if interval else "-",
        f"{sum(comparison.users):,}",
    )


def _format_mean(mean: float, form: str) -> str:
    """Return a mean as text; a variant without users has none."""
    return "-" if math.isnan(mean) else f"{mean:{form}}"


def _format_p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _describe(guardrail: Guardrail, comparison: Comparison) -> str:
    if comparison.interval is None:
        return "not tested yet"
    return STATES[judge_guardrail(guardrail, comparison)]


def _list_notes(results: Results, table: OutcomeTable, plan: AbTestPlan) -> list[str]:
    assigned, primary = table.assigned, results.outcomes[0]
    notes = [
        f"assigned: {assigned[0]:,} users to a, {assigned[1]:,} to b "
        f"({assigned[1] / sum(assigned):.1%}, planned {plan.share:.1%}, "
        f"p = {results.sample_ratio_p:.3f})",
        f"users with {primary.name}: {sum(primary.users):,}; needed: {results.required_users:,}",
        f"end of the log: {datetime.fromtimestamp(table.end, UTC):%Y-%m-%d %H:%M} UTC",
    ]
    if results.outcomes[0].interval is None:
        notes.append(
            f"note: tests begin at {MINIMUM_USERS} users with the outcome in each variant, whose "
            "values are not all the same"
        )
    notes += [
        f"note: the variants differ in the share of users with {outcome.name} (p = "
        f"{outcome.report_ratio_p:.3f}); its means may differ for that reason alone"
        for outcome in results.outcomes
        if outcome.report_ratio_p < SAMPLE_RATIO_LEVEL
    ]
    notes += [
        f"note: {name} is full, and lines from the beginning of the test may have been deleted: "
        "users and outcomes may be missing; increase serving.log_mib before the next test"
        for name in table.shortened_logs
    ]
    for number, text in (
        (table.waiting, "users whose window has not ended do not count yet"),
        (
            table.switched,
            "users saw both variants and are left out; was the share changed?",
        ),
        (table.unmatched, "outcomes name a user or request that is not in the test"),
    ):
        if number:
            notes.append(f"note: {number:,} {text}")
    return notes
