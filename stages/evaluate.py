"""Score one variant of the model on the test records, suite by suite."""

from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.cli.provenance import add_timings
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.metrics import suite_metrics, suites
from lockstep.models import compute, model_io
from lockstep.params import Section, Seed
from lockstep.predicting import answering, lm_eval_tasks, resume_cache
from lockstep.predicting.predict_params import Asked
from lockstep.predicting.questioning import Evaluation, new_head
from lockstep.predictions import write
from lockstep.resume_key import resume_key

BATCHES = 16
"""Of records, after which what was scored is kept."""


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
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
    compute.set_up_torch(chosen.compute, chosen.seed)
    head = new_head(settings, label_sets)
    model = answering.Answering(folder, chosen.compute.attention, settings, head)
    lm_eval_tasks.check(settings.harness, tasks)
    others = {"train": learnt, "validation": held_out}
    asked = Evaluation(model, label_sets, settings, chosen.seed, rows, others)
    asked.check()
    size = BATCHES * settings.batch_size
    inputs = folder, train, validation, test, labels, tasks
    key = resume_key(
        "evaluate", inputs, chosen.model_dump(), resume_cache.LIBRARIES, compute.select_device()
    )
    with resume_cache.open_cache(resume_cache.SCRATCH, key, size) as scored:
        predictions = asked.predictions(scored)
        varied = asked.varied(predictions, scored)
        fit = asked.of_splits(scored)
        result = suite_metrics.of(predictions, settings.measured, settings.slices, varied)
        for task, accuracy in asked.second_opinions().items():
            result[task]["lm_eval"] = accuracy
        result |= {"harness": found} if (found := model.harness(tasks)) else {}
        add_timings(weight_bytes=model_io.count_weight_bytes(folder), **asked.timings())
        with outputs.atomic_folder(out) as partial:
            write(partial / "predictions.jsonl", predictions)
            write(partial / "varied.jsonl", varied)
            write(partial / "fit.jsonl", fit)
            outputs.write_json(partial / "metrics.json", result)
    said = f"perplexity {result['perplexity']:.2f}" if "perplexity" in result else "done"
    click.echo(f"evaluate: {out.name}: {said}", err=True)


if __name__ == "__main__":
    run(main)
