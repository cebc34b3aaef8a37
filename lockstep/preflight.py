"""Print the memory, disk and time that the training will need, without training: `make preflight`.

It reads the outputs of base, prepare and augment, and times a few training steps.
"""

import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from lockstep import outputs, params, records
from lockstep.cli import runner
from lockstep.errors import UserError
from lockstep.models import compute, seq2seq
from lockstep.training import interruption, launch, trainer_arguments, training_plan, training_run
from lockstep.training.checkpoints import Checkpoints
from lockstep.training.training_plan import Params, Plan

TIMED_STEPS = 5
STATUS_COMMAND = [sys.executable, "-m", "dvc", "status", "-q", "base", "prepare", "augment"]
BASE = Path("data/base")


@click.command(help=__doc__)
def main() -> None:
    if subprocess.run(STATUS_COMMAND, check=False).returncode:  # noqa: S603 - fixed words
        raise UserError(
            "data/ does not match params.yaml and data/raw; run `dvc repro base augment`"
        )
    settings, device = params.read(Params), compute.select_device()
    compute.set_up_torch(settings.compute, settings.seed)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as name:
        scratch = Path(name)
        plan = plan_from_data(settings, device, scratch)
        if check_weights(plan, device):
            check_trainer(plan, settings, device, scratch)


def plan_from_data(settings: Params, device: str, scratch: Path) -> Plan:
    """Return the plan of the training run on the outputs in data/."""
    processes = compute.read_runtime().launch.world_size
    return training_plan.plan_training(
        BASE,
        list(records.read(Path("data/augmented/train.jsonl"))),
        list(records.read(Path("data/prepared/validation.jsonl"))),
        outputs.read_json(Path("data/prepared/labels.json")),
        settings,
        trainer_arguments.build_trainer_config(
            settings.train, settings.seed, device, scratch, processes, seq2seq.is_seq2seq(BASE)
        ),
    )


def check_weights(plan: Plan, device: str) -> bool:
    """Check that the weights fit into memory, and return whether one process can check the rest."""
    from lockstep.training import memory

    launch_params = compute.read_runtime().launch
    counts = memory.check_weights(BASE, plan, launch_params, device)
    if counts.quantized:
        click.echo(counts)
    if launch.is_sharded(launch_params):
        click.echo(
            f"the weights fit; {launch_params.strategy} shards the rest among "
            f"{launch_params.world_size} processes, which print their estimate before the first "
            "step"
        )
        return False
    return True


def check_trainer(plan: Plan, settings: Params, device: str, scratch: Path) -> None:
    """Load the model, print the estimate of its training, check it, and time a few steps."""
    from lockstep.training import resource_estimate, trainers

    runtime = compute.read_runtime()
    model = training_run.load_model(BASE, settings, plan.head, device)
    trainer = trainers.build_trainer(model, plan)
    checkpoints = Checkpoints(scratch, runtime.checkpoint_steps, runtime.checkpoints_kept)
    trainer.prepare_to_resume(checkpoints, interruption.Interruption(), plan)
    estimate = resource_estimate.estimate_resources(trainer, plan, runtime.launch)
    for line in estimate.format_lines():
        click.echo(line)
    estimate.check_memory(plan, runtime.launch)
    Checkpoints(Path(), checkpoints.save_steps, checkpoints.limit).check_space(
        estimate.checkpoint_bytes
    )
    seconds = time_training_step(trainer)
    passes = estimate.steps * settings.train.accumulation_steps / runtime.launch.world_size
    click.echo(
        f"{seconds:.3f} s per forward and backward pass: about {format_time(seconds * passes)}"
    )


def time_training_step(trainer: Any) -> float:
    """Return the mean seconds of a training step; a first step warms up and does not count."""
    batches = list(itertools.islice(trainer.get_train_dataloader(), TIMED_STEPS + 1))
    optimizer: Any = trainer.create_optimizer()
    started = 0.0
    for index, batch in enumerate(batches):
        if index == 1:
            started = time.perf_counter()
        trainer.current_gradient_accumulation_steps = 1
        trainer.training_step(trainer.model, batch)
        optimizer.step()
    return (time.perf_counter() - started) / max(1, len(batches) - 1)


def format_time(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


if __name__ == "__main__":
    runner.run(main)
