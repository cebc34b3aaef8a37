"""Checks of the section `train`."""

from collections.abc import Iterator
from pathlib import Path

from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import PrepareParams, TrainParams
from lockstep.training.train_params import Strategies


def check_tasks(prepare: PrepareParams, train: TrainParams) -> Iterator[str]:
    """Yield a line for each task that no source has."""
    names = SourceNames(prepare.sources)
    for key, tasks in (("tasks", train.tasks), ("sft.task_weights", train.sft.task_weights)):
        for task in names.unknown_tasks(tasks):
            yield f"train.{key}: no source has task {task}; {list_known(names.tasks)}"


def check_library_options(seed: int, train: TrainParams, strategies: Strategies) -> Iterator[str]:
    """Yield a line for each option that TRL, transformers or PEFT would refuse.

    Importing these libraries takes seconds. Without this check, `train` would fail hours later.
    """
    from lockstep.models.compute import select_device
    from lockstep.training import adapters, trainer_arguments

    trainer_arguments.build(train, seed, select_device(), Path())
    adapters.configuration(train, strategies, Path())
    adapters.learning_rate_ratio(train, strategies)
    adapters.double_quantization(strategies)
    yield from ()
