"""Progress of a training: a bar on a terminal, lines in a log. Imports transformers."""

import sys
import time
from typing import Any

import click
from tqdm import tqdm
from transformers import TrainerCallback

from lockstep.progress import CLOCK

BAR = "train {percentage:3.0f}% |{bar}| step {n_fmt}/{total_fmt}, {remaining} left{postfix}"


class ProgressCallback(TrainerCallback):
    """Shows loss, tokens per second and remaining time.

    `epoch_tokens` is the number of tokens of an epoch, without padding.
    """

    def __init__(self, epoch_tokens: int) -> None:
        self.epoch_tokens = epoch_tokens
        self.loss = ""
        self.bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report where a run resumes, and show a bar on a terminal."""
        self.first_step, self.started = state.global_step, time.perf_counter()
        self.epochs = args.num_train_epochs
        if not state.is_world_process_zero:
            return
        if state.global_step:
            click.echo(f"train: resumes at step {state.global_step} of {state.max_steps}", err=True)
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=state.max_steps, initial=state.global_step, bar_format=BAR, leave=False
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the bar."""
        if self.bar is not None:
            self.bar.set_postfix_str(
                f"{self.loss}{self._tokens_per_second(state):,.0f} tokens/s", refresh=False
            )
            self.bar.update(1)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Print a line for an evaluation, or for a loss if one is due, unless there is a bar."""
        logs = kwargs["logs"]
        if not state.is_world_process_zero or not {"loss", "eval_loss"} & logs.keys():
            return
        name, key = ("loss", "loss") if "loss" in logs else ("validation loss", "eval_loss")
        self.loss = f"{name} {logs[key]:.3f}, "
        if self.bar is None and ("eval_loss" in logs or CLOCK.is_due()):
            click.echo(
                f"train: step {state.global_step}/{state.max_steps}, {self.loss}"
                f"{self._tokens_per_second(state):,.0f} tokens/s, {self._time_left(state)} left",
                err=True,
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()

    def _tokens_per_second(self, state: Any) -> float:
        epochs = (state.global_step - self.first_step) / state.max_steps * self.epochs
        return epochs * self.epoch_tokens / (time.perf_counter() - self.started)

    def _time_left(self, state: Any) -> str:
        steps = max(1, state.global_step - self.first_step)
        step_seconds = (time.perf_counter() - self.started) / steps
        return tqdm.format_interval(step_seconds * (state.max_steps - state.global_step))
