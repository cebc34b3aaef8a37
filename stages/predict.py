"""Ask one variant of the model for its answers to the test records, suite by suite."""

from pathlib import Path

import click

from lockstep import outputs, params, predictions, records
from lockstep.cli.checks import reference_checks
from lockstep.cli.provenance import add_timings
from lockstep.cli.runner import IN_FOLDER, OUT, run
from lockstep.models import compute
from lockstep.params import Section, Seed
from lockstep.predicting import few_shot, lm_eval_tasks, resume_cache
from lockstep.predicting.predict_params import PredictParams
from lockstep.predicting.predictor import Predictor, choose_head
from lockstep.predicting.seq2seq_variant import open_variant
from lockstep.resume_key import compute_resume_key
from lockstep.suites import ObjectiveParams, add_retrieval, read_tasks, resolve_suites

INPUTS = ("train.jsonl", "validation.jsonl", "test.jsonl", "labels.json", "tasks.json")
"""Files of data/prepared that this stage reads."""
BATCHES_PER_SAVE = 16
"""Number of batches between two saves of the resume cache."""


class Params(Section):
    """Sections of params.yaml that the stage reads."""

    seed: Seed
    compute: compute.ComputeParams
    train: ObjectiveParams
    predict: PredictParams


@click.command(help=__doc__)
@click.argument("folder", type=IN_FOLDER)
@click.argument("prepared", type=IN_FOLDER)
@click.argument("tasks", type=IN_FOLDER)
@click.argument("out", type=OUT)
def main(folder: Path, prepared: Path, tasks: Path, out: Path) -> None:
    settings = params.read(Params)
    labels = outputs.read_json(prepared / "labels.json")
    train, validation, test = (
        list(records.read(prepared / f"{split}.jsonl")) for split in ("train", "validation", "test")
    )
    suites = resolve_suites(
        settings.predict.suites, read_tasks(prepared / "tasks.json"), settings.train.objective
    )
    reference_checks.check_suites(test, suites, labels, {"train": train, "validation": validation})
    lm_eval_tasks.check_tasks(settings.predict.lm_eval, tasks)
    suites = few_shot.add_few_shot(suites, settings.predict.few_shot)
    suites = add_retrieval(suites, settings.predict.retrieval.lengths, settings.train.objective)
    compute.set_up_torch(settings.compute, settings.seed)
    model = open_variant(
        folder, settings.compute.attention, settings.predict, choose_head(suites, labels)
    )
    click.get_current_context().call_on_close(model.close)
    predictor = Predictor(
        model, suites, labels, settings.seed, test, {"train": train, "validation": validation}
    )
    predictor.check()
    inputs = folder, tasks, *(prepared / name for name in INPUTS)
    key = compute_resume_key(
        "predict", inputs, settings.model_dump(), resume_cache.LIBRARIES, compute.select_device()
    )
    part_size = BATCHES_PER_SAVE * settings.predict.batch_size
    with resume_cache.open_cache(resume_cache.SCRATCH, key, part_size) as cache:
        answered = predictor.predict(cache)
        perturbed = predictor.predict_perturbed(answered, cache)
        splits = predictor.predict_splits(cache)
        lm_eval = {
            "suites": predictor.measure_lm_eval_accuracies(),
            "tasks": model.run_lm_eval(tasks),
        }
        add_timings(weight_bytes=model.weight_bytes, **predictor.measure_latency())
        with outputs.atomic_folder(out) as partial:
            predictions.write(partial / "predictions.jsonl", answered)
            predictions.write(partial / "perturbed.jsonl", perturbed)
            predictions.write(partial / "splits.jsonl", splits)
            outputs.write_json(partial / "lm_eval.json", lm_eval)
    click.echo(f"predict: {out.name}: {len(answered)} records, {len(suites)} suites", err=True)


if __name__ == "__main__":
    run(main)
