"""Text of a plan and of results, as Markdown tables whose columns line up in a terminal."""

from lockstep.abtests import sample_size
from lockstep.abtests.abtest_plan import AbTestPlan, Guardrail
from lockstep.abtests.abtest_results import MINIMUM_USERS, Comparison, Decision, Results
from lockstep.abtests.outcome_table import OutcomeTable
from lockstep.reporting.markdown_tables import format_table

MEANINGS: dict[Decision, str] = {
    "invalid": "The variants do not have the planned shares of users, so no outcome can be "
    "trusted. Find out which users are missing.",
    "guardrail violated": "Variant b makes a guardrail worse by more than its margin. "
    "Stop the test.",
    "b is better": "Variant b is better, and chance does not explain it. The test may stop.",
    "b is worse": "Variant b is worse, and chance does not explain it. The test may stop.",
    "no relevant difference": "The interval excludes the minimum effect in both directions. "
    "The test may stop.",
    "go on": "Not decided yet. Go on; you may look as often as you like.",
}
"""Meaning of each decision."""


def format_plan(plan: AbTestPlan) -> str:
    """Return the numbers of users that the outcomes of a plan need."""
    rows = []
    for outcome in plan.outcomes:
        size = sample_size.compute_sample_size(outcome, plan.share, plan.power)
        days = "-" if plan.users_per_day is None else f"{size.sequential / plan.users_per_day:.1f}"
        effect = f"{outcome.baseline:g} + {outcome.minimum_effect:g}"
        sizes = f"{size.single_look:,}", f"{size.sequential:,}"
        rows.append((outcome.outcome, effect, *sizes, days))
    header = "outcome", "effect", "users, one look", "users, any looks", "days"
    return (
        f"{format_table(header, rows)}\n\n"
        f"Users of both variants together, for a power of {plan.power:.0%} with {plan.share:.0%} "
        "of them in b.\nWith any number of looks, a test ends earlier on average if the effect is "
        "there."
    )


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
            (*_format_row(comparison)[:5], f"{guardrail.margin:g}", _judge(guardrail, comparison))
            for guardrail, comparison in results.guardrails
        ]
        parts.append(str(format_table(columns, rows)))
    return "\n\n".join([*parts, "\n".join(_list_notes(results, table, plan))])


def _format_row(comparison: Comparison) -> tuple[str, ...]:
    interval = comparison.interval
    return (
        comparison.name,
        *(f"{mean:.4g}" for mean in comparison.means),
        f"{comparison.difference:+.4g}",
        f"{interval.low:+.4g} to {interval.high:+.4g}" if interval else "-",
        f"{comparison.p:.3f}" if interval else "-",
        f"{comparison.power:.0%}" if interval else "-",
        f"{sum(comparison.users):,}",
    )


def _judge(guardrail: Guardrail, comparison: Comparison) -> str:
    if comparison.interval is None:
        return "too few users"
    if comparison.interval.low > guardrail.margin:
        return "violated"
    return "within the margin" if comparison.interval.high < guardrail.margin else "not shown yet"


def _list_notes(results: Results, table: OutcomeTable, plan: AbTestPlan) -> list[str]:
    counts = table.count_users("a"), table.count_users("b")
    users = sum(counts)
    notes = [
        f"users: {counts[0]:,} in a, {counts[1]:,} in b ({counts[1] / max(1, users):.1%} of "
        f"{plan.share:.1%} planned, p = {results.sample_ratio_p:.3f}); "
        f"needed: {results.required_users:,}"
    ]
    if results.outcomes[0].interval is None:
        notes.append(
            f"note: tests begin at {MINIMUM_USERS} users with the outcome in each variant, whose "
            "values are not all the same"
        )
    for number, text in (
        (table.waiting, "users whose window has not ended do not count yet"),
        (
            table.switched,
            "users saw both variants and are left out; was the salt or share changed?",
        ),
        (table.unmatched, "outcomes name a user or request that is not in the log"),
    ):
        if number:
            notes.append(f"note: {number:,} {text}")
    return notes
