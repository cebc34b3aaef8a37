"""Live view of a training in trackio, TensorBoard, Weights & Biases or MLflow.

The callbacks of transformers send the trainer's log to the tools. They can neither change the
result nor end the training. Imports torch.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import click
from transformers import TrainerCallback
from transformers.integrations import get_reporting_integration_callbacks

from lockstep.training import launch
from lockstep.training.resumable_trainer import keep_random_state

LOGS = Path(os.environ.get("DVC_ROOT", ".")) / ".scratch" / "live"
"""Folder of what the tools store, outside of all outputs."""

PROJECT = "lockstep"
"""Name under which the tools group the runs."""


class LiveCallback(TrainerCallback):
    """Passes the start, the log and the end of a training on to transformers' callback of a tool.

    The tool may draw random numbers. If it fails, it is left out from then on.
    """

    def __init__(self, tool: str) -> None:
        self.tool = tool
        self.callback: Any = None
        with self._isolate():
            (callback_class,) = get_reporting_integration_callbacks([tool])
            self.callback = callback_class()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start a run of the tool."""
        self._forward("on_train_begin", args, state, control, **kwargs)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Send losses and metrics to the tool."""
        self._forward("on_log", args, state, control, **{**kwargs, "logs": {**kwargs["logs"]}})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the run of the tool."""
        self._forward("on_train_end", args, state, control, **kwargs)

    def _forward(self, event: str, *arguments: Any, **kwargs: Any) -> None:
        if self.callback is not None:
            with self._isolate():
                getattr(self.callback, event)(*arguments, **kwargs)

    @contextmanager
    def _isolate(self) -> Iterator[None]:
        try:
            with keep_random_state(), redirect_stdout(sys.stderr):
                yield
        except Exception as error:  # of any class: no tool may end a training
            self.callback = None
            reason = " ".join(str(error).split())[:200]
            click.echo(f"train: runtime.report_to: {self.tool} is left out: {reason}", err=True)


def set_variables(tools: Sequence[str], key: str) -> None:
    """Tell the tools where to store the run, unless the user has told them.

    `key` is the resume key. A training that resumes continues its run of the tool; in MLflow it
    starts another run of the same name.
    """
    if not tools:
        return
    LOGS.mkdir(parents=True, exist_ok=True)
    folder, name = LOGS.resolve(), name_run(key)
    variables = {
        "TRACKIO_DIR": f"{folder}/trackio",
        "TENSORBOARD_LOGGING_DIR": f"{folder}/tensorboard/{name}",
        "WANDB_DIR": str(folder),
        "WANDB_PROJECT": PROJECT,
        "WANDB_RUN_ID": name,
        "WANDB_RESUME": "allow",
        "MLFLOW_TRACKING_URI": f"file://{folder}/mlflow",
        "MLFLOW_ALLOW_FILE_STORE": "true",  # its client has no database
        "MLFLOW_EXPERIMENT_NAME": PROJECT,
    }
    for variable, value in variables.items():
        os.environ.setdefault(variable, value)


def add_callbacks(trainer: Any, tools: Sequence[str], key: str) -> None:
    """Show the training in the tools; of several processes only the first one reports."""
    if tools and launch.is_first_process():
        trainer.args.project, trainer.args.run_name = PROJECT, name_run(key)
        for tool in tools:
            trainer.add_callback(LiveCallback(tool))


def name_run(key: str) -> str:
    """Return the name of a run: that of the experiment, and a part of the resume key."""
    return f"{os.environ.get('DVC_EXP_NAME', 'workspace')}-{key[:8]}"
