"""What happens at an optimizer step beside the optimizer's work. Imports transformers."""

import math
from typing import Any

import click
from transformers import TrainerCallback

from lockstep.training import launch
from lockstep.training.divergence import refuse_divergence
from lockstep.training.interruption import Interruption


class Steps(TrainerCallback):
    """What happens at an optimizer step beside the optimizer's work."""

    def __init__(self, trainer: Any, interruption: Interruption) -> None:
        self.trainer, self.interruption = trainer, interruption

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.load_progress()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Also where a run resumes: within an epoch, or between two."""
        epoch = math.ceil(len(kwargs["train_dataloader"]) / args.gradient_accumulation_steps)
        if state.global_step and state.global_step % epoch == 0:
            self.trainer.start_next_epoch()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs, chosen = dict(kwargs["logs"]), self.trainer.plan.chosen
        if chosen.precision == "fp16":  # infinite where the loss scale was too high: no step
            logs.pop("grad_norm", None)
        refuse_divergence(logs, state.global_step, chosen.objective)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.finish_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = control.should_evaluate = True
        every = self.trainer.run.every
        if every and state.global_step % every == 0:
            control.should_save = True
        self._stop_if_asked(control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._stop_if_asked(control)
        if self.trainer.finished():
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.interruption.number is not None and launch.leads():
            click.echo(f"train: step {state.global_step} is saved; run again to go on", err=True)

    def _stop_if_asked(self, control: Any) -> None:
        if self.trainer.anywhere(self.interruption.number is not None):
            control.should_save = control.should_training_stop = True
