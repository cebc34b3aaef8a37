"""One training run: load the base, train it, save the result.

Its checkpoints are outside the stage's outputs, in a folder that is named by the resume key.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.models import compute, loading
from lockstep.models.heads import Head
from lockstep.resume_key import compute_resume_key
from lockstep.training import adapters, interruption, launch, reward_models, training_log
from lockstep.training.checkpoints import Checkpoints, open_checkpoints
from lockstep.training.training_plan import Params, Plan

LIBRARIES = ("accelerate", "bitsandbytes", "peft", "tokenizers", "torch", "transformers", "trl")
"""Distributions whose version can change a training run."""

CHECKPOINTS = Path(os.environ.get("DVC_ROOT", ".")) / ".scratch" / "train"
"""Folder of the checkpoints of unfinished runs.

DVC empties the outputs before a stage starts and deletes the folder of a failed experiment, so
checkpoints must lie outside of both.
"""


@contextmanager
def open_run(
    inputs: Sequence[Path], settings: Params, device: str, runtime: compute.RuntimeParams
) -> Iterator[Checkpoints]:
    """Yield the checkpoints of the run that these inputs and params determine.

    They are removed when the block ends without an exception, i.e. when the result is written.
    A worker process of a run gets the checkpoints of the process that started it.
    """
    folder = launch.get_worker_folder()
    if folder is not None:
        yield Checkpoints(folder, runtime.checkpoint_steps, runtime.checkpoints_kept)
        return
    processes = [device, runtime.launch.world_size, runtime.launch.strategy]
    key = compute_resume_key("train", inputs, settings.model_dump(), LIBRARIES, processes)
    with open_checkpoints(CHECKPOINTS, key, runtime) as checkpoints:
        yield checkpoints
        if runtime.launch.machine == 0:
            checkpoints.remove()


def train_and_save(
    base: Path,
    plan: Plan,
    settings: Params,
    checkpoints: Checkpoints,
    launch_params: compute.LaunchParams,
    out: Path,
) -> None:
    """Train the base as planned and write model, log.csv and summary.json to `out`.

    Of several processes only the first one writes and reports.
    """
    from lockstep.training import memory

    if plan.unused_weights and launch.is_first_process():
        tasks = ", ".join(plan.unused_weights)
        click.echo(f"train: sft.task_weights: no training row has the task {tasks}", err=True)
    device = compute.select_device()
    counts = memory.check_weights(base, plan, launch_params, device)
    if counts.quantized and launch.is_first_process():
        click.echo(f"train: {counts}", err=True)
    model = load_model(
        base, settings, plan.head, launch.choose_loading_device(launch_params, device)
    )
    trainer = train_model(model, plan, checkpoints, launch_params)
    summary = summarize_training(trainer, plan)
    if not launch.is_first_process():
        trainer.save_result(out, settings.weights.max_shard_gb)  # all processes gather the weights
        return
    with outputs.atomic_folder(out) as partial:
        trainer.save_result(partial / "model", settings.weights.max_shard_gb)
        training_log.write_log(trainer.state.log_history, partial / "log.csv")
        outputs.write_json(partial / "summary.json", summary)
    equal = f" ({summary['rows_equal']} equal pairs dropped)" if summary["rows_equal"] else ""
    click.echo(
        f"train: {summary['steps']} steps on {summary['rows']} rows{equal}, validation loss "
        f"{summary['validation_loss']:.3f}, {summary['trained_parameters']:,} parameters trained",
        err=True,
    )


def load_model(base: Path, settings: Params, head: Head | None, device: str | None) -> Any:
    """Return the base model in the form that the strategy trains.

    full and freeze load the weights in 32 bits, qlora in 4 bits, and the other strategies in
    `train.precision`. A `device` of None leaves the placement to the launcher.
    """
    import torch

    precision, strategy = settings.train.precision, settings.train.strategy
    torch.manual_seed(settings.seed)  # a new head is initialized at random
    config = adapters.build_quantization_config(settings.train)
    return loading.load_model(
        base,
        "float32" if strategy in ("full", "freeze") else loading.DTYPES[precision],
        settings.compute.attention,
        device,
        config,
        head,
        settings.train.dropout,
    )


def train_model(
    model: Any, plan: Plan, checkpoints: Checkpoints, launch_params: compute.LaunchParams
) -> Any:
    """Train the model to the end and return its trainer.

    At a signal, a checkpoint is saved before the signal takes effect. Raise UserError if the
    training needs more memory or disk than there is, or if it diverges.
    """
    from lockstep.training import live_view

    tools, key = compute.read_runtime().report_to, checkpoints.folder.name
    live_view.set_variables(tools, key)  # before TRL's trainers import the tools
    from lockstep.training import resource_estimate, trainers, training_progress

    trainer = trainers.build_trainer(model, plan)
    trainer.add_callback(training_progress.ProgressCallback(plan.train_rows.tokens))
    live_view.add_callbacks(trainer, tools, key)
    with interruption.defer_signals() as signals:
        trainer.prepare_to_resume(checkpoints, signals, plan)
        estimate = resource_estimate.estimate_resources(trainer, plan, launch_params)
        estimate.check_memory(plan, launch_params)
        checkpoints.check_space(estimate.checkpoint_bytes)
        if launch.is_first_process():
            click.echo("\n".join(f"train: {line}" for line in estimate.format_lines()), err=True)
        trainer.train_to_end()
    if not loading.has_finite_parameters(trainer.model):
        raise UserError("training diverged: weights are not finite; lower train.learning_rate")
    return trainer


def summarize_training(trainer: Any, plan: Plan) -> dict[str, Any]:
    """Return the content of summary.json: sizes, truncation, and the losses of the result."""
    history, rows = trainer.state.log_history, plan.train_rows
    step, metrics = training_log.list_evaluations(history)[trainer.find_result_evaluation()]
    folders = reward_models.find_folders(plan.params)
    return {
        "objective": plan.params.objective,
        "strategy": plan.params.strategy,
        "rows": len(rows.rows),
        "rows_truncated": rows.truncated,
        "rows_dropped": len(rows.dropped),
        "rows_equal": len(rows.equal),
        "rows_skipped": plan.skipped_rows,
        "tokens": rows.tokens,
        "answer_tokens": rows.loss_tokens,
        "steps": trainer.state.global_step,
        "steps_planned": trainer.state.max_steps,
        "trained_parameters": adapters.count_trained_parameters(trainer.model),
        "parameters": adapters.count_parameters(trainer.model),
        "loss": training_log.list_losses(history)[-1],
        "validation_loss": metrics["loss"],
        "validation_step": step,
        **({"reward_models": reward_models.hash_folders(folders)} if folders else {}),
    }
