"""Tune the base model on the training records for the chosen objective, by the chosen strategy."""

import sys
import tempfile
from pathlib import Path

import click

from lockstep import outputs, params, records
from lockstep.cli.provenance import add_timings
from lockstep.cli.runner import IN_FILE, IN_FOLDER, OUT, run
from lockstep.models import compute, lean_imports, seq2seq
from lockstep.training import launch, reward_models, trainer_arguments, training_run
from lockstep.training.training_plan import Params, plan_training


@click.command(help=__doc__)
@click.argument("base", type=IN_FOLDER)
@click.argument("augmented", type=IN_FOLDER)
@click.argument("validation", type=IN_FILE)
@click.argument("labels", type=IN_FILE)
@click.argument("out", type=OUT)
def main(base: Path, augmented: Path, validation: Path, labels: Path, out: Path) -> None:
    settings = params.read(Params)
    compute.set_up_torch(settings.compute, settings.seed)
    if not settings.train.may_need_bitsandbytes:
        lean_imports.leave_out_bitsandbytes()
    compute.warn_about_slow_bf16("train.precision", settings.train.precision)
    device, runtime = compute.select_device(), compute.read_runtime()
    launch.check_launch(runtime.launch, settings.train)
    rewards = reward_models.find_folders(settings.train)
    train = augmented / "train.jsonl"
    with tempfile.TemporaryDirectory(prefix="lockstep-") as scratch:
        config = trainer_arguments.build_trainer_config(
            settings.train,
            settings.seed,
            device,
            Path(scratch),
            runtime.launch.world_size,
            seq2seq.is_seq2seq(base),
        )
        plan = plan_training(
            base,
            list(records.read(train)),
            list(records.read(validation)),
            outputs.read_json(labels),
            settings,
            config,
        )
        inputs = base, train, validation, labels, *rewards.values()
        with training_run.open_run(inputs, settings, device, runtime) as checkpoints:
            if step := checkpoints.get_newest_step():
                add_timings(resumed_from_step=step)  # the seconds are those since then
            if launch.needs_workers(runtime.launch):
                launch.start_workers(
                    runtime.launch, "stages.train", sys.argv[1:], checkpoints.folder, device
                )
            else:
                training_run.train_and_save(base, plan, settings, checkpoints, runtime.launch, out)


if __name__ == "__main__":
    run(main)
