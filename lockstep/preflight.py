"""What `dvc repro` will ask of this machine in training, before it starts: `make preflight`.

Needs the outputs of base, prepare and augment. Takes a few real steps and throws them away.
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
from lockstep.models import compute
from lockstep.training import interruption, launch, trainer_arguments, training_plan
from lockstep.training.checkpoints import Run
from stages.train import Params, load

STEPS = 5
STATUS = [sys.executable, "-m", "dvc", "status", "-q", "base", "prepare", "augment"]


@click.command(help=__doc__)
def main() -> None:
    from lockstep.training import memory, preflight, trainers

    if subprocess.run(STATUS, check=False).returncode:  # noqa: S603 - fixed words
        raise UserError(
            "params.yaml: data/ is of other parameters or sources; run `dvc repro augment`"
        )
    chosen, device = params.read(Params), compute.select_device()
    runtime = compute.read_runtime()
    launched = runtime.launch
    compute.set_up_torch(chosen.compute, chosen.seed)
    data = Path("data")
    with tempfile.TemporaryDirectory(prefix="lockstep-") as scratch:
        planned = training_plan.draw_up(
            data / "base",
            list(records.read(data / "augmented/train.jsonl")),
            list(records.read(data / "prepared/validation.jsonl")),
            outputs.read_json(data / "prepared/labels.json"),
            chosen.train,
            chosen.strategies,
            trainer_arguments.build(
                chosen.train, chosen.seed, device, Path(scratch), launched.world
            ),
        )
        memory.check_weights(data / "base", planned, launched, device)
        if launch.shares_out(launched):
            click.echo(
                f"the weights fit; {launched.strategy} shares the rest among {launched.world} "
                "processes, which tell it before their first step"
            )
            return
        model = load(data / "base", chosen, planned.head, device)
        trainer = trainers.build(model, planned)
        trainer.prepare_to_resume(Run(Path(scratch), 0, 1), interruption.Interruption(), planned)
        ahead = preflight.look_ahead(trainer, planned, launched)
        for line in ahead.lines():
            click.echo(line)
        ahead.refuse(planned, launched)
        Run(Path(), runtime.checkpoint_steps, runtime.checkpoints_kept).check_space(
            ahead.checkpoint
        )
        batches = list(itertools.islice(trainer.get_train_dataloader(), STEPS + 1))
        optimizer: Any = trainer.create_optimizer()
        started = 0.0
        for place, batch in enumerate(batches):
            if place == 1:  # the first one warms up
                started = time.perf_counter()
            trainer.current_gradient_accumulation_steps = 1
            trainer.training_step(trainer.model, batch)
            optimizer.step()
        seconds = (time.perf_counter() - started) / max(1, len(batches) - 1)
        passes = ahead.steps * chosen.train.accumulation_steps / launched.world
        click.echo(
            f"{seconds:.3f} s a forward and backward pass: about {minutes(seconds * passes)}"
        )


def minutes(seconds: float) -> str:
    """A time as a reader says it."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


if __name__ == "__main__":
    runner.run(main)
