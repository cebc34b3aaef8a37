"""Report the figures of all variants, what changed and what to look at, on one page."""

from pathlib import Path

import click

from lockstep import outputs, params
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.hub.base_params import BaseParams
from lockstep.human import ratings
from lockstep.human.rating_items import HumanParams
from lockstep.metrics.suites import check_answers
from lockstep.params import NaturalInt, Section, Seed
from lockstep.reporting import (
    comparison,
    page,
    plot_tables,
    split_gaps,
    stage_results,
    summary_metrics,
)
from lockstep.statistics import split_gap
from lockstep.statistics.evidence import Evidence
from lockstep.statistics.gates import Judged
from lockstep.training.train_params import Strategies, Train


class Report(Section):
    """What the page is called, and how much it shows."""

    title: str
    slices: list[str]
    """Slices by which metrics.json breaks each suite's main figure down; all are on the page."""
    examples: NaturalInt
    """Test records of each suite that the page shows with the answers of all variants."""


class Params(Section):
    seed: Seed
    base: BaseParams
    train: Train
    strategies: Strategies
    evaluate: Judged
    human: HumanParams
    report: Report


@click.command(help=__doc__)
@click.argument("prepared", type=IN_FILE)
@click.argument("augmented", type=IN_FILE)
@click.argument("trained", type=IN_FOLDER)
@click.argument("merge", type=IN_FILE)
@click.argument("quantize", type=IN_FILE)
@click.argument("evaluated", type=IN_FOLDER)
@click.argument("judged", type=IN_FILE)
@click.argument("human", type=IN_FOLDER)
@click.argument("reports", type=OUT)
def main(
    prepared: Path,
    augmented: Path,
    trained: Path,
    merge: Path,
    quantize: Path,
    evaluated: Path,
    judged: Path,
    human: Path,
    reports: Path,
) -> None:
    chosen = params.read(Params)
    facts = {
        "prepared": stage_results.read_json(prepared),
        "augmented": stage_results.read_json(augmented),
        "trained": stage_results.read_json(trained / "summary.json"),
        "merge": stage_results.read_json(merge),
        "quantize": stage_results.read_json(quantize),
        "judged": stage_results.read_json(judged),
        "settings": chosen.model_dump(),
    }
    log = stage_results.read_log(trained / "log.csv")
    variants = stage_results.read_variants(evaluated)
    answers = stage_results.read_answers(evaluated)
    check_answers(answers, chosen.evaluate.measured, evaluated)
    facts["human"] = ratings.figures(human, answers, chosen.human)
    rows, settings = stage_results.joined(answers), chosen.evaluate
    evidence = Evidence(answers, settings.measured, chosen.seed)
    proven = page.prove(evidence, settings.gates)
    learnt = [one for one in settings.suites if one.task in (chosen.train.tasks or [one.task])]
    fits = {
        name: split_gap.of(answers[name], others, learnt, chosen.seed)
        for name, others in stage_results.read_fits(evaluated).items()
    }
    details = comparison.details(variants, rows, evidence, proven.differences, settings.slices)
    details |= {name: facts[name] for name in ("judged", "human")}
    details["fit"] = split_gaps.details(fits)
    measured = summary_metrics.metrics(variants, facts, chosen.report.slices)
    shown = page.values(
        variants, rows, log, facts, proven, split_gaps.lines(fits), chosen.report.examples
    )
    texts = {
        "index.html": page.render("page.html.j2", shown),
        "model-card.md": page.render("model-card.md.j2", shown),
        **{f"plots/{name}": text for name, text in plot_tables.plots(variants, log).items()},
    }
    for name, value in ("metrics", measured), ("details", details):
        with outputs.atomic_file(reports / f"{name}.json") as partial:
            outputs.write_json(partial, value)
    for name, text in texts.items():
        with outputs.atomic_file(reports / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
    click.echo(f"report: {shown['headline']}", err=True)


if __name__ == "__main__":
    run(main)
