"""Score one variant of the model on the test records, suite by suite."""

from pathlib import Path

import click

from stages import compute, models, outputs, params, records
from stages.cli import IN_FILE, IN_FOLDER, OUT, run, timed
from stages.params import Section, Seed
from stages.scoring import answering, figures, harness, kept, suites
from stages.scoring.evaluation import Evaluation, new_head
from stages.scoring.predictions import write
from stages.scoring.settings import Asked

BATCHES = 16
"""Of records, after which what was scored is kept."""


class Params(Section):
    seed: Seed
    compute: compute.Compute
    evaluate: Asked


@click.command(help=__doc__)
@click.argument("folder", type=IN_FOLDER)
@click.argument("train", type=IN_FILE)
@click.argument("validation", type=IN_FILE)
@click.argument("test", type=IN_FILE)
@click.argument("labels", type=IN_FILE)
@click.argument("tasks", type=IN_FOLDER)
@click.argument("out", type=OUT)
def main(
    folder: Path,
    train: Path,
    validation: Path,
    test: Path,
    labels: Path,
    tasks: Path,
    out: Path,
) -> None:
    chosen = params.read(Params)
    settings, label_sets = chosen.evaluate, outputs.read_json(labels)
    rows, learnt, held_out = (list(records.read(path)) for path in (test, train, validation))
    suites.check(rows, settings.suites, label_sets)
    compute.set_up(chosen.compute, chosen.seed)
    head = new_head(settings, label_sets)
    model = answering.Answering(folder, chosen.compute.attention, settings, head)
    harness.check(settings.harness, tasks)
    others = {"train": learnt, "validation": held_out}
    asked = Evaluation(model, label_sets, settings, chosen.seed, rows, others)
    asked.check()
    size = BATCHES * settings.batch_size
    inputs = [outputs.digest(path) for path in (folder, train, validation, test, labels, tasks)]
    determining = inputs, chosen.model_dump(), kept.code()
    with kept.opened(kept.SCRATCH, size, compute.device(), *determining) as scored:
        predictions = asked.predictions(scored)
        varied = asked.varied(predictions, scored)
        fit = asked.of_splits(scored)
        result = figures.of(predictions, settings.measured, settings.slices, varied)
        for task, accuracy in asked.second_opinions().items():
            result[task]["lm_eval"] = accuracy
        result |= {"harness": found} if (found := model.harness(tasks)) else {}
        timed(weight_bytes=models.weight_bytes(folder), **asked.timings())
        with outputs.folder(out) as partial:
            write(partial / "predictions.jsonl", predictions)
            write(partial / "varied.jsonl", varied)
            write(partial / "fit.jsonl", fit)
            outputs.write_json(partial / "metrics.json", result)
    said = f"perplexity {result['perplexity']:.2f}" if "perplexity" in result else "done"
    click.echo(f"evaluate: {out.name}: {said}", err=True)


if __name__ == "__main__":
    run(main)
