"""Hold the model at hand against an earlier commit's, and decide its gates: `make gates`.

REVISION is that commit: by default the one before the results at hand. Figures of both are compared
on the test records that both have. Exits with 1 where a gate is not kept.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from lockstep import params
from lockstep.cli.runner import IN_FOLDER
from lockstep.errors import UserError
from lockstep.metrics.suites import check_answers
from lockstep.params import Section, Seed
from lockstep.predictions import Prediction
from lockstep.reporting import gate_conditions, stage_results
from lockstep.reporting.metric_display import measure, words
from lockstep.review import earlier_commit
from lockstep.statistics import paired_tests
from lockstep.statistics.evidence import Evidence
from lockstep.statistics.gates import Gate, Judged, Outcome, decide
from lockstep.statistics.paired_tests import Difference

BEFORE = "{} before"
"""What the earlier commit's variant is called."""
TUNED = ("merged", "quantized")


class Params(Section):
    seed: Seed
    evaluate: Judged


def against(answers: stage_results.Answers, commit: str, chosen: Params) -> Evidence:
    """All variants of both commits, on the records that both have."""
    pairs: dict[str, list[Prediction]] = {}
    for variant in stage_results.VARIANTS:
        now, before = earlier_commit.shared(answers[variant], earlier_commit.read(variant, commit))
        pairs |= {variant: now, BEFORE.format(variant): before}
    return Evidence(pairs, chosen.evaluate.measured, chosen.seed)


def table(found: dict[str, dict[str, dict[str, Difference]]]) -> Iterator[str]:
    """A line for each figure that changed: by how much, the interval of that, and its p."""
    same = 0
    for variant, suites in found.items():
        for task, differences in suites.items():
            for name, one in differences.items():
                if not one.value:
                    same += 1
                    continue
                own = measure(name)
                ends = f"{own.step(one.interval.low)} to {own.step(one.interval.high)}"
                doubt = "could be chance" if one.could_be_chance else f"p {one.adjusted:.2g}"
                title = f"{variant} {words(task)} {own.title}"
                yield f"{title:<40} {own.step(one.value):>13}  ({ends}; {doubt})"
    yield f"{same} figures are as they were"


def past(answers: stage_results.Answers, revision: str | None, chosen: Params) -> Evidence | None:
    """What the earlier commit proves; None, and a word on why, where it is not to be had."""
    try:
        commit = earlier_commit.revision(revision)
        found = against(answers, commit, chosen)
    except UserError as refusal:
        if revision is not None:
            raise
        click.echo(f"no earlier results: {refusal.message}", err=True)
        return None
    both = max((len(part.rows) for part in found.parts["merged"]), default=0)
    click.echo(f"against {commit[:7]}, on {both:,} test records that both were asked:")
    compared = {part.task for part in found.parts["merged"]}
    for suite in chosen.evaluate.measured:
        if suite.task not in compared:
            click.echo(f"  {words(suite.task)}: not compared, no record was asked alike by both")
    return found


@click.command(help=__doc__)
@click.argument("revision", required=False)
@click.option("--evaluated", type=IN_FOLDER, default="data/evaluated", show_default=True)
def main(revision: str | None, evaluated: Path) -> None:
    chosen = params.read(Params)
    answers = stage_results.read_answers(evaluated)
    check_answers(answers, chosen.evaluate.measured, evaluated)
    own = Evidence(answers, chosen.evaluate.measured, chosen.seed)
    before = past(answers, revision, chosen)
    if before is not None:
        steps = {name: before.differences(BEFORE.format(name), name) for name in TUNED}
        for line in table(paired_tests.adjusted(steps)):
            click.echo(f"  {line}")
    outcomes = [outcome(gate, own, before) for gate in chosen.evaluate.gates]
    for one in outcomes:
        mark = "passed" if one.passed else "FAILED"
        click.echo(
            f"{mark}: {gate_conditions.condition(one.gate)}; found {gate_conditions.finding(one)}"
        )
    sys.exit(not all(one.passed for one in outcomes))


def outcome(gate: Gate, own: Evidence, before: Evidence | None) -> Outcome:
    """The gate decided by whom it is against."""
    if gate.against != "previous":
        return decide(gate, own)
    if before is None:
        return Outcome(gate, None, None)
    return decide(gate, before, BEFORE.format(gate.variant))


if __name__ == "__main__":
    main()
