"""Checks of the section `train`."""

from collections.abc import Iterator

from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import PrepareParams, TrainParams


def check_tasks(prepare: PrepareParams, train: TrainParams) -> Iterator[str]:
    """Yield a line for each task to train on that no source has."""
    names = SourceNames(prepare.sources)
    for task in names.find_unknown_tasks(train.tasks):
        yield f"train.tasks: no source has task {task}; {list_known(names.tasks)}"


def check_library_options(seed: int, train: TrainParams) -> Iterator[str]:
    """Raise UserError with a line for each option that a library would refuse; yield nothing.

    The libraries are TRL, transformers and PEFT; importing them takes seconds. Without this check,
    `train` would fail hours later.
    """
    from lockstep.models.compute import select_device
    from lockstep.training import training_plan

    training_plan.check_options(train, seed, select_device())
    yield from ()


def check_reward_models(train: TrainParams) -> Iterator[str]:
    """Raise UserError if a folder in `train.grpo.rewards` holds no reward model; yield nothing."""
    from lockstep.training import reward_models

    if train.objective == "grpo":
        reward_models.check_local_folders(train)
    yield from ()
