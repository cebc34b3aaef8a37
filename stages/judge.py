"""Let a judge compare and score the answers of the variants, on the dimensions of a rubric."""

from functools import partial
from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.judging.cases import read_cases
from lockstep.judging.judge_params import JudgeParams
from lockstep.judging.judgements import judge_cases, write_judgements
from lockstep.judging.judges import ask_judge
from lockstep.judging.rubric import read_rubric
from lockstep.models.compute import ComputeParams
from lockstep.params import Section, Seed


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    compute: ComputeParams
    judge: JudgeParams


@click.command(help=__doc__)
@click.argument("predicted", type=IN_FOLDER)
@click.argument("test", type=IN_FILE)
@click.argument("rubric_file", metavar="RUBRIC", type=IN_FILE)
@click.argument("out", type=OUT)
def main(predicted: Path, test: Path, rubric_file: Path, out: Path) -> None:
    settings = params.read(Params)
    rubric = read_rubric(rubric_file, settings.judge.dimensions)
    cases = [] if settings.judge.by == "none" else read_cases(predicted, test, settings.judge)

    ask = partial(
        ask_judge,
        settings=settings.judge,
        compute_params=settings.compute,
        seed=settings.seed,
    )
    judgements = judge_cases(cases, rubric, settings.judge, ask)

    with outputs.atomic_folder(out) as partial_folder:
        write_judgements(partial_folder / "judgements.jsonl", judgements)
    unreadable = sum(judgement.verdicts is None for judgement in judgements)
    click.echo(f"judge: {len(judgements)} judgements, {unreadable} unreadable", err=True)


if __name__ == "__main__":
    run(main)
