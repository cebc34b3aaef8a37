"""Tune the base model on the training records for the chosen objective, by the chosen strategy."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from lockstep import outputs, params, records
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.errors import UserError
from lockstep.models import compute, model_io, quantization
from lockstep.params import Section, Seed
from lockstep.resume_key import compute_resume_key
from lockstep.training import (
    adapters,
    checkpoints,
    interruption,
    launch,
    train_params,
    trainer_arguments,
    training_log,
    training_plan,
)

LIBRARIES = ("accelerate", "bitsandbytes", "peft", "tokenizers", "torch", "transformers", "trl")
"""Distributions whose version can change a training run."""

SCRATCH = Path(os.environ.get("DVC_ROOT", ".")) / ".scratch" / "train"
"""Checkpoints of runs under way. DVC empties outputs before a stage starts, and throws away the
folder of an experiment that failed; this one outlives both."""


class Params(Section):
    seed: Seed
    compute: compute.ComputeParams
    weights: model_io.WeightsParams
    train: train_params.Train
    strategies: train_params.Strategies


def load(base: Path, chosen: Params, head: model_io.Head | None, place: str | None) -> Any:
    """The base as the strategy tunes it: in 4 bits for qlora, in half precision under adapters."""
    import torch

    precision, strategy = chosen.train.precision, chosen.train.strategy
    torch.manual_seed(chosen.seed)  # of a new head
    config = None
    if strategy == "qlora":
        double = adapters.double_quantization(chosen.strategies)
        config = quantization.build_config("nf4", double, precision)
    return model_io.load_model(
        base,
        "float32" if strategy in ("full", "freeze") else model_io.DTYPES[precision],
        chosen.compute.attention,
        place,
        config,
        head,
        chosen.train.dropout,
    )


def tune(
    model: Any, planned: training_plan.Plan, checkpoint: checkpoints.Run, launched: compute.Launch
) -> Any:
    """Train to the end, or until a signal asks for one; returns the trainer."""
    from lockstep.training import preflight, progress, trainers

    trainer = trainers.build(model, planned)
    trainer.add_callback(progress.Progress(planned.train))
    with interruption.deferred() as signals:
        trainer.prepare_to_resume(checkpoint, signals, planned)
        ahead = preflight.look_ahead(trainer, planned, launched)
        ahead.refuse(planned, launched)
        checkpoint.check_space(ahead.checkpoint)
        if launch.leads():
            click.echo("\n".join(f"train: {line}" for line in ahead.lines()), err=True)
        trainer.train_to_end()
    if not model_io.has_finite_parameters(trainer.model):
        raise UserError("training diverged: weights are not finite; lower train.learning_rate")
    return trainer


def summarize(trainer: Any, planned: training_plan.Plan) -> dict[str, Any]:
    """What the report says of the run: sizes, truncation, the figures of the weights kept."""
    history, train = trainer.state.log_history, planned.train
    kept = training_log.evaluations(history)[trainer.kept_evaluation()]
    return {
        "objective": planned.chosen.objective,
        "strategy": planned.chosen.strategy,
        "rows": len(train.rows),
        "rows_truncated": train.truncated,
        "rows_dropped": len(train.dropped),
        "tokens": train.tokens,
        "answer_tokens": train.learnt,
        "steps": trainer.state.global_step,
        "steps_planned": trainer.state.max_steps,
        "trained_parameters": adapters.trained_parameters(trainer.model),
        "parameters": trainer.model.num_parameters(),
        "loss": training_log.losses(history)[-1],
        "validation_loss": kept[1]["loss"],
        "validation_step": kept[0],
    }


def finish(
    base: Path,
    planned: training_plan.Plan,
    chosen: Params,
    checkpoint: checkpoints.Run,
    launched: compute.Launch,
    out: Path,
) -> None:
    """Train, then write the result whole; of several processes the first one writes."""
    from lockstep.training import memory

    device = compute.select_device()
    memory.check_weights(base, planned, launched, device)
    model = load(base, chosen, planned.head, launch.place(launched, device))
    trainer = tune(model, planned, checkpoint, launched)
    summary = summarize(trainer, planned)
    if not launch.leads():
        trainer.save_result(out, chosen.weights.max_shard_gb)
        return
    with outputs.atomic_folder(out) as partial:
        trainer.save_result(partial / "model", chosen.weights.max_shard_gb)
        training_log.write(trainer.state.log_history, partial / "log.csv")
        outputs.write_json(partial / "summary.json", summary)
    click.echo(
        f"train: {summary['steps']} steps on {summary['rows']} rows, validation loss "
        f"{summary['validation_loss']:.3f}, {summary['trained_parameters']:,} parameters trained",
        err=True,
    )


@click.command(help=__doc__)
@click.argument("base", type=IN_FOLDER)
@click.argument("augmented", type=IN_FOLDER)
@click.argument("validation", type=IN_FILE)
@click.argument("labels", type=IN_FILE)
@click.argument("out", type=OUT)
def main(base: Path, augmented: Path, validation: Path, labels: Path, out: Path) -> None:
    chosen = params.read(Params)
    compute.set_up_torch(chosen.compute, chosen.seed)
    compute.warn_about_slow_bf16("train.precision", chosen.train.precision)
    train, device, runtime = (
        augmented / "train.jsonl",
        compute.select_device(),
        compute.read_runtime(),
    )
    launch.check(runtime.launch, chosen.train)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as scratch:
        planned = training_plan.draw_up(
            base,
            list(records.read(train)),
            list(records.read(validation)),
            outputs.read_json(labels),
            chosen.train,
            chosen.strategies,
            trainer_arguments.build(
                chosen.train, chosen.seed, device, Path(scratch), runtime.launch.world
            ),
        )
        started = launch.inside()
        if started is not None:
            checkpoint = checkpoints.Run(
                started, runtime.checkpoint_steps, runtime.checkpoints_kept
            )
            finish(base, planned, chosen, checkpoint, runtime.launch, out)
            return
        inputs = base, train, validation, labels
        launched = runtime.launch
        how = [device, launched.world, launched.strategy]
        key = compute_resume_key("train", inputs, chosen.model_dump(), LIBRARIES, how)
        with checkpoints.opened(SCRATCH, key, runtime) as checkpoint:
            if runtime.launch.world > 1:
                launch.start(
                    runtime.launch, "stages.train", sys.argv[1:], checkpoint.folder, device == "cpu"
                )
            else:
                finish(base, planned, chosen, checkpoint, runtime.launch, out)
            if runtime.launch.machine == 0:
                checkpoint.remove()


if __name__ == "__main__":
    run(main)
