"""Report the figures of all variants, what changed and what to look at, on one page."""

from pathlib import Path

import click

from stages import outputs, params
from stages.bases.origin import Base
from stages.cli import IN_FILE, IN_FOLDER, OUT, run
from stages.learning.settings import Strategies, Train
from stages.pages import comparison, fitting, numbers, page, results, tables
from stages.params import NaturalInt, Section, Seed
from stages.people import ratings
from stages.people.items import People
from stages.scoring import fit
from stages.scoring.evidence import Evidence
from stages.scoring.gates import Judged
from stages.scoring.suites import check_answers


class Report(Section):
    """What the page is called, and how much it shows."""

    title: str
    slices: list[str]
    """Slices by which metrics.json breaks each suite's main figure down; all are on the page."""
    examples: NaturalInt
    """Test records of each suite that the page shows with the answers of all variants."""


class Params(Section):
    seed: Seed
    base: Base
    train: Train
    strategies: Strategies
    evaluate: Judged
    people: People
    report: Report


@click.command(help=__doc__)
@click.argument("prepared", type=IN_FILE)
@click.argument("augmented", type=IN_FILE)
@click.argument("trained", type=IN_FOLDER)
@click.argument("merge", type=IN_FILE)
@click.argument("quantize", type=IN_FILE)
@click.argument("evaluated", type=IN_FOLDER)
@click.argument("judged", type=IN_FILE)
@click.argument("people", type=IN_FOLDER)
@click.argument("reports", type=OUT)
def main(
    prepared: Path,
    augmented: Path,
    trained: Path,
    merge: Path,
    quantize: Path,
    evaluated: Path,
    judged: Path,
    people: Path,
    reports: Path,
) -> None:
    chosen = params.read(Params)
    facts = {
        "prepared": results.read_json(prepared),
        "augmented": results.read_json(augmented),
        "trained": results.read_json(trained / "summary.json"),
        "merge": results.read_json(merge),
        "quantize": results.read_json(quantize),
        "judged": results.read_json(judged),
        "settings": chosen.model_dump(),
    }
    log = results.read_log(trained / "log.csv")
    variants = results.read_variants(evaluated)
    answers = results.read_answers(evaluated)
    check_answers(answers, chosen.evaluate.measured, evaluated)
    facts["people"] = ratings.figures(people, answers, chosen.people)
    rows, settings = results.joined(answers), chosen.evaluate
    evidence = Evidence(answers, settings.measured, chosen.seed)
    proven = page.prove(evidence, settings.gates)
    learnt = [one for one in settings.suites if one.task in (chosen.train.tasks or [one.task])]
    fits = {
        name: fit.of(answers[name], others, learnt, chosen.seed)
        for name, others in results.read_fits(evaluated).items()
    }
    details = comparison.details(variants, rows, evidence, proven.differences, settings.slices)
    details |= {name: facts[name] for name in ("judged", "people")}
    details["fit"] = fitting.details(fits)
    measured = numbers.metrics(variants, facts, chosen.report.slices)
    shown = page.values(
        variants, rows, log, facts, proven, fitting.lines(fits), chosen.report.examples
    )
    texts = {
        "index.html": page.render("page.html.j2", shown),
        "model-card.md": page.render("model-card.md.j2", shown),
        **{f"plots/{name}": text for name, text in tables.plots(variants, log).items()},
    }
    for name, value in ("metrics", measured), ("details", details):
        with outputs.file(reports / f"{name}.json") as partial:
            outputs.write_json(partial, value)
    for name, text in texts.items():
        with outputs.file(reports / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")
    click.echo(f"report: {shown['headline']}", err=True)


if __name__ == "__main__":
    run(main)
