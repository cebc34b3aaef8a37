"""How far a training is: a bar on a terminal, lines in a log file. Imports transformers."""

import sys
import time
from typing import Any

import click
from tqdm import tqdm
from transformers import TrainerCallback

from lockstep.training.training_rows import Rows

BAR = "train {percentage:3.0f}% |{bar}| step {n_fmt}/{total_fmt}, {remaining} left{postfix}"


class Progress(TrainerCallback):
    """Loss, tokens per second (without padding) and time left."""

    def __init__(self, rows: Rows) -> None:
        self.tokens = rows.tokens
        self.loss = ""
        self.bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.first, self.started = state.global_step, time.perf_counter()
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
        if self.bar is not None:
            self.bar.set_postfix_str(
                f"{self.loss}{self._speed(state):,.0f} tokens/s", refresh=False
            )
            self.bar.update(1)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        if not state.is_world_process_zero or not {"loss", "eval_loss"} & logs.keys():
            return
        name, key = ("loss", "loss") if "loss" in logs else ("validation loss", "eval_loss")
        self.loss = f"{name} {logs[key]:.3f}, "
        if self.bar is None:
            speed = self._speed(state)
            left = self._left(state)
            click.echo(
                f"train: step {state.global_step}/{state.max_steps}, {self.loss}"
                f"{speed:,.0f} tokens/s, {left} left",
                err=True,
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def _speed(self, state: Any) -> float:
        done = state.global_step - self.first
        epochs = done / state.max_steps * self.epochs
        return epochs * self.tokens / (time.perf_counter() - self.started)

    def _left(self, state: Any) -> str:
        done = max(1, state.global_step - self.first)
        seconds = (
            (time.perf_counter() - self.started) / done * (state.max_steps - state.global_step)
        )
        return tqdm.format_interval(seconds)
