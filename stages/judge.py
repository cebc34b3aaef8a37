"""Let a judge compare and score the answers of the variants, on the dimensions of a rubric."""

from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.judging import cases, judgements, judges, rubric
from lockstep.judging.judge_params import Judge
from lockstep.judging.judge_prompts import Prompt
from lockstep.models import compute
from lockstep.params import Section, Seed


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    judge: Judge


@click.command(help=__doc__)
@click.argument("predicted", type=IN_FOLDER)
@click.argument("test", type=IN_FILE)
@click.argument("told", metavar="RUBRIC", type=IN_FILE)
@click.argument("out", type=OUT)
def main(predicted: Path, test: Path, told: Path, out: Path) -> None:
    chosen = params.read(Params)
    settings = chosen.judge
    wording = rubric.read(told, settings.dimensions)
    found: list[judgements.Judgement] = []
    if settings.by != "none":
        rows = cases.read(predicted, test, settings)

        def ask(prompts: list[Prompt]) -> list[str]:
            return judges.ask_judge(prompts, settings, chosen.compute, chosen.seed)

        found = judgements.judge(rows, wording, settings, ask)
    with outputs.atomic_folder(out) as partial:
        judgements.write(partial / "judgements.jsonl", found)
    unread = sum(judgement.verdicts is None for judgement in found)
    click.echo(f"judge: {len(found)} judgements, {unread} unreadable", err=True)


if __name__ == "__main__":
    run(main)
