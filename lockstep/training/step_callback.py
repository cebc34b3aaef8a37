"""Callback at each optimizer step: checkpoints, interruption, divergence. Imports transformers."""

import math
from typing import Any

import click
from transformers import TrainerCallback

from lockstep.errors import UserError
from lockstep.training import launch
from lockstep.training.interruption import Interruption
from lockstep.training.train_params import Objective


class StepCallback(TrainerCallback):
    """Decides at each optimizer step whether to evaluate, to save a checkpoint or to stop."""

    def __init__(self, trainer: Any, interruption: Interruption) -> None:
        self.trainer, self.interruption = trainer, interruption
        self.epoch_steps = 1  # replaced when the first epoch starts

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Restore the progress of the checkpoint that the run resumes from."""
        self.trainer.load_progress()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell the trainer that a new epoch starts, unless the run resumes within an epoch."""
        batches = len(kwargs["train_dataloader"])
        self.epoch_steps = math.ceil(batches / args.gradient_accumulation_steps)
        if state.global_step and state.global_step % self.epoch_steps == 0:
            self.trainer.start_next_epoch()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop a training that diverges."""
        logs, params = dict(kwargs["logs"]), self.trainer.plan.params
        if params.precision == "fp16":  # infinite if the step was skipped for its loss scale
            logs.pop("grad_norm", None)
        check_divergence(logs, state.global_step, params.objective)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let the method finish its step."""
        self.trainer.finish_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate after an epoch and after the last step; save a checkpoint when one is due.

        The library itself evaluates every so many steps.
        """
        step, save_steps = state.global_step, self.trainer.checkpoints.save_steps
        ends_epoch = step % self.epoch_steps == 0
        if ends_epoch and self.trainer.plan.params.evaluation_steps == "epoch":
            control.should_evaluate = True
        if step >= state.max_steps:
            control.should_log = control.should_evaluate = True
        if save_steps == "epoch":
            control.should_save = ends_epoch
        elif save_steps and step % save_steps == 0:
            control.should_save = True
        self._stop_if_interrupted(control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop if the training is interrupted or finished."""
        self._stop_if_interrupted(control)
        if self.trainer.is_finished():
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report the checkpoint of an interrupted run."""
        if self.interruption.signal is not None and launch.is_first_process():
            click.echo(f"train: step {state.global_step} is saved; run again to continue", err=True)

    def _stop_if_interrupted(self, control: Any) -> None:
        if self.trainer.is_true_in_any_process(self.interruption.signal is not None):
            control.should_save = control.should_training_stop = True


def check_divergence(logs: dict[str, Any], step: int, objective: Objective) -> None:
    """Raise UserError at the first loss or gradient norm that is not finite.

    For sft a gradient norm of exactly 0 is an error as well: if activations overflow, a norm layer
    divides by infinity, and the model then predicts all tokens alike, with a finite loss.
    """
    for name in ("loss", "grad_norm", "eval_loss"):
        if name in logs and not math.isfinite(float(logs[name])):
            raise UserError(
                f"training diverged: {name} {logs[name]} at step {step}; "
                "lower train.learning_rate or raise train.warmup"
            )
    if objective == "sft" and float(logs.get("grad_norm", 1.0)) == 0.0:
        raise UserError(
            f"training diverged: the gradient is 0 at step {step}; lower train.learning_rate"
        )
