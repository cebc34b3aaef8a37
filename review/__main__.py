"""Hold the model at hand against an earlier commit's, and decide its gates: `make gates`.

REVISION is that commit: by default the one before the results at hand. Figures of both are compared
on the test records that both have. Exits with 1 where a gate is not kept.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from review import earlier
from stages import params
from stages.cli import IN_FOLDER
from stages.errors import Refusal
from stages.pages import conditions, results
from stages.pages.measures import measure, words
from stages.params import Section, Seed
from stages.scoring import inference
from stages.scoring.evidence import Evidence
from stages.scoring.gates import Gate, Judged, Outcome, decide
from stages.scoring.inference import Difference
from stages.scoring.predictions import Prediction
from stages.scoring.suites import check_answers

BEFORE = "{} before"
"""What the earlier commit's variant is called."""
TUNED = ("merged", "quantized")


class Params(Section):
    seed: Seed
    evaluate: Judged


def against(answers: results.Answers, commit: str, chosen: Params) -> Evidence:
    """All variants of both commits, on the records that both have."""
    pairs: dict[str, list[Prediction]] = {}
    for variant in results.VARIANTS:
        now, before = earlier.shared(answers[variant], earlier.read(variant, commit))
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


def past(answers: results.Answers, revision: str | None, chosen: Params) -> Evidence | None:
    """What the earlier commit proves; None, and a word on why, where it is not to be had."""
    try:
        commit = earlier.revision(revision)
        found = against(answers, commit, chosen)
    except Refusal as refusal:
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
    answers = results.read_answers(evaluated)
    check_answers(answers, chosen.evaluate.measured, evaluated)
    own = Evidence(answers, chosen.evaluate.measured, chosen.seed)
    before = past(answers, revision, chosen)
    if before is not None:
        steps = {name: before.differences(BEFORE.format(name), name) for name in TUNED}
        for line in table(inference.adjusted(steps)):
            click.echo(f"  {line}")
    outcomes = [outcome(gate, own, before) for gate in chosen.evaluate.gates]
    for one in outcomes:
        mark = "passed" if one.passed else "FAILED"
        click.echo(f"{mark}: {conditions.condition(one.gate)}; found {conditions.finding(one)}")
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
