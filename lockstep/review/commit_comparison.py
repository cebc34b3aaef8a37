"""Compare the model with that of an earlier commit and decide the gates (`make gates`).

REVISION is the earlier commit; the default is the commit before the current results. The metrics of
both are compared on the test records that both answered. Exits with 1 if a gate is not met.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from lockstep import params
from lockstep.cli.runner import IN_FOLDER
from lockstep.errors import UserError
from lockstep.metrics.metric_display import describe_metric, spell_out
from lockstep.metrics.suite_metrics import MeasuredSuite, build_measured_suites
from lockstep.params import Section, Seed
from lockstep.predictions import VARIANTS, Prediction
from lockstep.reporting.gate_conditions import describe_condition, describe_value
from lockstep.review import earlier_commit
from lockstep.statistics import paired_tests, stage_results
from lockstep.statistics.evaluate_params import EvaluateParams
from lockstep.statistics.evidence import SIZES, Evidence, Sizes
from lockstep.statistics.gates import Gate, GateOutcome, compute_outcome
from lockstep.statistics.paired_tests import Difference

EARLIER = "earlier {}"
"""Name of a variant of the earlier commit."""
TUNED = ("merged", "quantized")
"""Variants that are compared with the earlier commit."""


class Params(Section):
    """Sections of params.yaml that the comparison reads."""

    seed: Seed
    evaluate: EvaluateParams


def compare_commits(
    predictions: stage_results.VariantPredictions,
    commit: str,
    suites: Sequence[MeasuredSuite],
    seed: int,
    sizes: Sizes,
) -> Evidence:
    """Return the evidence of all variants of both commits, on the records that both have."""
    pairs: dict[str, Sequence[Prediction]] = {}
    for variant in VARIANTS:
        earlier = earlier_commit.read_predictions(variant, commit)
        current, earlier = earlier_commit.pair_predictions(predictions[variant], earlier)
        pairs |= {variant: current, EARLIER.format(variant): earlier}
    earlier_sizes = {EARLIER.format("quantized"): earlier_commit.read_size(commit)}
    return Evidence(pairs, suites, seed, {**sizes, **earlier_sizes})


def format_differences(differences: dict[str, dict[str, dict[str, Difference]]]) -> Iterator[str]:
    """Yield a line for each metric that changed: the difference, its interval and its p-value."""
    unchanged = 0
    for variant, suites in differences.items():
        for task, by_metric in suites.items():
            for name, difference in by_metric.items():
                if not difference.value:
                    unchanged += 1
                    continue
                display = describe_metric(name)
                low, high = difference.interval.low, difference.interval.high
                interval = f"{display.format_difference(low)} to {display.format_difference(high)}"
                p_value = f"p {difference.p_adjusted:.2g}"
                significance = "could be chance" if difference.could_be_chance else p_value
                title = f"{variant} {spell_out(task)} {display.title}"
                shown = display.format_difference(difference.value)
                yield f"{title:<40} {shown:>13}  ({interval}; {significance})"
    yield f"{unchanged} metrics are unchanged"


def read_earlier(
    predictions: stage_results.VariantPredictions,
    revision: str | None,
    suites: Sequence[MeasuredSuite],
    seed: int,
    sizes: Sizes,
) -> Evidence | None:
    """Return the evidence with the earlier commit; None, with a message, if it has no results."""
    try:
        commit = earlier_commit.resolve_revision(revision)
        evidence = compare_commits(predictions, commit, suites, seed, sizes)
    except UserError as error:
        if revision is not None:
            raise
        click.echo(f"no earlier results: {error.message}", err=True)
        return None
    groups = evidence.groups["merged"]
    records = max((len(group.predictions) for group in groups), default=0)
    click.echo(f"compared with {commit[:7]} on {records:,} test records that both answered:")
    compared = {group.task for group in groups}
    for suite in suites:
        if suite.task not in compared:
            task = spell_out(suite.task)
            click.echo(f"  {task}: not compared; the commits have no test record in common")
    return evidence


def decide_gate(gate: Gate, evidence: Evidence, earlier: Evidence | None) -> GateOutcome:
    """Return the outcome of a gate; `earlier` decides gates against the previous commit."""
    if gate.against != "previous":
        return compute_outcome(gate, evidence)
    if earlier is None:
        return GateOutcome(gate, None, None)
    return compute_outcome(gate, earlier, EARLIER.format(gate.variant))


@click.command(help=__doc__)
@click.argument("revision", required=False)
@click.option("--predicted", type=IN_FOLDER, default="data/predicted", show_default=True)
def main(revision: str | None, predicted: Path) -> None:
    """Print the differences and the gates; exit with 1 if a gate is not met."""
    settings = params.read(Params)
    predictions = stage_results.read_predictions(predicted)
    suites = build_measured_suites(
        predictions["merged"], settings.evaluate.metrics, settings.evaluate.json_schemas
    )
    sizes: Sizes = {}
    if any(gate.suite == SIZES for gate in settings.evaluate.gates):
        folder = predicted.with_name("quantized")
        sizes = stage_results.get_sizes(stage_results.read_json(folder / "quantize.json"))
    evidence = Evidence(predictions, suites, settings.seed, sizes)
    earlier = read_earlier(predictions, revision, suites, settings.seed, sizes)
    if earlier is not None:
        steps = {name: earlier.compute_differences(EARLIER.format(name), name) for name in TUNED}
        for line in format_differences(paired_tests.adjust_differences(steps)):
            click.echo(f"  {line}")
    outcomes = [decide_gate(gate, evidence, earlier) for gate in settings.evaluate.gates]
    for outcome in outcomes:
        mark = "passed" if outcome.passed else "FAILED"
        condition, value = describe_condition(outcome.gate), describe_value(outcome)
        click.echo(f"{mark}: {condition}; result: {value}")
    sys.exit(not all(outcome.passed for outcome in outcomes))


if __name__ == "__main__":
    main()
