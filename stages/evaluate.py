"""Score one variant of the model on the test records, suite by suite."""

import hashlib
from dataclasses import replace
from pathlib import Path

import click

from stages import compute, outputs, params, records
from stages.cli import IN_FILE, IN_FOLDER, OUT, run
from stages.models import Head
from stages.params import Section, Seed
from stages.records import Record
from stages.scoring import answering, figures, metrics, suites
from stages.scoring.predictions import Prediction, write


class Params(Section):
    seed: Seed
    compute: compute.Compute
    evaluate: suites.Asked


def new_head(chosen: suites.Asked, labels: dict[str, list[str]]) -> Head | None:
    """What a base needs to answer the suites by numbers; None where it writes."""
    kinds = {suite.answer for suite in chosen.suites}
    if not chosen.ends_in_numbers:
        return None
    if "number" in kinds:
        return Head("regression", [])
    own = [labels[suite.task] for suite in chosen.suites]
    names = sorted({label for part in own for label in part})
    several = "labels" in kinds
    return Head("multi_label_classification" if several else "single_label_classification", names)


def predict(
    model: answering.Answering,
    rows: list[Record],
    parts: dict[str, list[Record]],
    labels: dict[str, list[str]],
    chosen: suites.Asked,
) -> list[Prediction]:
    """The model's answers to all suites, and how unlikely it finds the expected ones."""
    answers: dict[str, tuple[suites.Suite, answering.Answer]] = {}
    for suite in chosen.suites:
        part = parts[suite.task]
        given = model.answers(suite, part, labels.get(suite.task, []))
        answers |= {row.id: (suite, one) for row, one in zip(part, given, strict=True)}
    losses: dict[str, tuple[float, int]] = {}
    if model.head is None:
        judged = {suite.task for suite in chosen.suites if suite.answer in suites.JUDGED}
        said = [row for row in rows if row.task not in judged]
        losses = {row.id: loss for row, loss in zip(said, model.losses(said), strict=True)}
    found = []
    for row in rows:
        loss, tokens = losses.get(row.id, (None, 0))
        same = Prediction(
            id=row.id,
            task=row.task,
            slices=row.slices,
            question=row.question,
            prompt=digest(model.prompt(row)),
            expected=row.answer,
            loss=None if loss is None else round(loss, 4),
            tokens=tokens,
        )
        found.append(answered(same, *answers[row.id]) if row.id in answers else same)
    return found


def answered(prediction: Prediction, suite: suites.Suite, answer: answering.Answer) -> Prediction:
    """With the answer, and its scores by the figures that are means."""
    pair = prediction.expected, answer.text
    means = metrics.means(suite.answer)
    return replace(
        prediction,
        got=answer.text,
        score=suites.SCORES[suite.answer](*pair),
        scores={name: score(*pair) for name, score in means.items() if name in suite.metrics},
        merits={name: round(merit, 4) for name, merit in sorted(answer.merits.items())},
    )


def digest(ids: list[int]) -> str:
    """Of a prompt's token ids: 16 hex digits."""
    return hashlib.sha256(" ".join(map(str, ids)).encode()).hexdigest()[:16]


@click.command(help=__doc__)
@click.argument("folder", type=IN_FOLDER)
@click.argument("test", type=IN_FILE)
@click.argument("labels", type=IN_FILE)
@click.argument("out", type=OUT)
def main(folder: Path, test: Path, labels: Path, out: Path) -> None:
    chosen = params.read(Params)
    settings = chosen.evaluate
    rows = list(records.read(test))
    label_sets = outputs.read_json(labels)
    parts = suites.by_suite(rows, settings.suites, label_sets)
    compute.set_up(chosen.compute, chosen.seed)
    head = new_head(settings, label_sets)
    model = answering.Answering(folder, chosen.compute.attention, settings, head)
    predictions = predict(model, rows, parts, label_sets, settings)
    result = figures.of(predictions, settings.suites, settings.slices)
    for suite in settings.suites:
        if suite.answer == "choice" and settings.harness_records:
            sample = records.spread(parts[suite.task], settings.harness_records)
            result[suite.task]["lm_eval"] = model.second_opinion(sample, label_sets[suite.task])
    with outputs.folder(out) as partial:
        write(partial / "predictions.jsonl", predictions)
        outputs.write_json(partial / "metrics.json", result)
    said = f"perplexity {result['perplexity']:.2f}" if "perplexity" in result else "done"
    click.echo(f"evaluate: {out.name}: {said}", err=True)


if __name__ == "__main__":
    run(main)
