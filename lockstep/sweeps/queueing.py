"""Put the experiments of a sweep into DVC's queue; those that ended without a result once more."""

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
from ruamel.yaml import YAML

from lockstep.cli import params_check
from lockstep.errors import UserError
from lockstep.sweeps.experiments import list_experiments
from lockstep.sweeps.grid import Axis, Setting, apply_changes, format_override
from lockstep.verify.clone import run_git

DONE, QUEUED, RUNNING, FAILED = "success", "queued", "running", "failed"
"""DVC's states of an experiment."""
KILLED = "killed"
"""State of an experiment that DVC lists as running although its process has ended."""
LOST = "lost"
"""State of an experiment that DVC no longer lists: its worker died when it took it."""
RESULTS = (":!.dvc/tmp", ":!dvc.lock", ":!params.yaml", ":!reports")
"""Files in which experiments of the same code and data may differ, for git; DVC commits its own
arguments of a queued experiment in .dvc/tmp."""

DATA_SECTIONS = {"prepare", "seed"}
"""Sections that no library checks; a change of these alone needs no import of torch."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment on this commit as DVC lists it."""

    name: str
    state: str = LOST
    revision: str = ""
    """Commit with its params.yaml."""
    log: Path | None = None
    """File with its output; None if it has not started or ran outside of the queue."""
    folder: Path | None = None
    """Folder in which it runs."""


def list_queue() -> dict[str, Experiment]:
    """Return all experiments on this commit by name; of equal names, the newest."""
    experiments = [
        _read_experiment(experiment)
        for commit in list_experiments(1)
        for experiment in commit["experiments"] or []
    ]
    return {experiment.name: experiment for experiment in reversed(experiments)}


def _read_experiment(entry: Mapping[str, Any]) -> Experiment:
    revision = entry["revs"][0]
    executor = entry["executor"] or {"state": DONE, "local": None}
    local = executor["local"] or {"log": None, "root": None, "pid": None}
    state = executor["state"]
    if state == RUNNING and local["pid"] is not None and not _is_executor(local["pid"]):
        state = KILLED
    return Experiment(
        name=revision["name"] or revision["rev"][:7],
        state=state,
        revision=revision["rev"],
        log=Path(local["log"]) if local["log"] else None,
        folder=Path(local["root"]) if local["root"] else None,
    )


def _is_executor(pid: int) -> bool:
    """Whether a process exists and runs an experiment; its number may belong to another by now."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "exec-run" in process.cmdline()
    except psutil.Error:
        return False


def check_settings(
    values: Mapping[str, Any], axes: Sequence[Axis], settings: Sequence[Setting], option: str
) -> None:
    """Raise UserError with a line for each mistake in the settings, before anything is queued.

    `values` are those of params.yaml, which must be valid by themselves. The libraries check their
    options too, which may import torch. After a mistake each change is also checked by itself,
    since a mistake in a section hides others in it.
    """
    mistakes: dict[str, None] = {}
    for setting in settings:
        mistakes |= dict.fromkeys(_find_mistakes(values, setting.changes))
    if mistakes:
        for changes in (changes for axis in axes for _, changes in axis):
            mistakes |= dict.fromkeys(_find_mistakes(values, changes))
        raise UserError("\n".join(f"{option}: {line}" for line in mistakes))


def _find_mistakes(values: Mapping[str, Any], changes: Mapping[str, Any]) -> Iterator[str]:
    for path in changes:
        if path.partition(".")[0] == "runtime":
            yield f"{path}: cannot change a result; set it in params.yaml for all experiments"
    try:
        changed = apply_changes(values, changes)
    except ValueError as error:
        yield str(error)
        return
    changed = copy.deepcopy(changed)
    yield from params_check.find_mistakes(changed)
    if {path.partition(".")[0] for path in changes} - DATA_SECTIONS:
        yield from params_check.find_library_mistakes(changed)


def queue_settings(values: Mapping[str, Any], settings: Sequence[Setting]) -> list[str]:
    """Queue the settings that have no result yet; return the names of all their experiments.

    An experiment of the same name, params, code and data counts as that of a setting. If it failed
    or was killed it is queued again: its stages continue from their checkpoints.
    """
    existing = list_queue()
    named = [(_choose_name(setting, values, existing), setting) for setting in settings]
    for name, setting in named:
        experiment = existing.get(name)
        if experiment is None:
            queue_experiment(name, setting.changes)
        elif experiment.state in (FAILED, KILLED):
            remove_experiment(experiment)
            queue_experiment(name, setting.changes)
            click.echo(f"queued again: {name} ({experiment.state} before)")
        else:
            continue
        if experiment is None:
            click.echo(f"queued: {name}")
    return [name for name, _ in named]


def _choose_name(
    setting: Setting, values: Mapping[str, Any], existing: Mapping[str, Experiment]
) -> str:
    """Return the setting's name, with a number if that is taken by other params, code or data."""
    name, number = setting.name, 1
    wanted = apply_changes(values, setting.changes)
    while name in existing and not _has_inputs(existing[name], wanted):
        number += 1
        name = f"{setting.name}_v{number}"
    return name


def _has_inputs(experiment: Experiment, values: Mapping[str, Any]) -> bool:
    """Whether an experiment has these params, and code and data of the workspace."""
    root = Path()
    text = run_git(root, "show", f"{experiment.revision}:./params.yaml")
    params = YAML(typ="safe", pure=True).load(text)
    if json.loads(json.dumps(params, default=str)) != json.loads(json.dumps(values, default=str)):
        return False
    try:
        run_git(root, "diff", "--quiet", experiment.revision, "--", ".", *RESULTS)
    except subprocess.CalledProcessError:
        return False
    return True


def queue_experiment(name: str, changes: Mapping[str, Any]) -> None:
    """Put an experiment into the queue of DVC.

    DVC is called in this process, since it takes a second to start.
    """
    from dvc.cli import main

    overrides = [format_override(path, value) for path, value in changes.items()]
    arguments = [part for override in overrides for part in ("--set-param", override)]
    if main(["exp", "run", "--quiet", "--queue", "--name", name, *arguments]):
        raise UserError(f"{name}: DVC did not queue it (see above); run the command again")


def remove_experiment(experiment: Experiment) -> None:
    """Remove an experiment that ended without a result from the queue, with its folder.

    The checkpoints of its stages are elsewhere and stay.
    """
    if experiment.state == KILLED:
        run_dvc("queue", "kill", "--force", experiment.name)
    run_dvc("queue", "remove", experiment.name)
    if experiment.folder is not None:
        shutil.rmtree(experiment.folder, ignore_errors=True)


def run_dvc(*arguments: str) -> str:
    """Run a command of DVC and return its output; raise UserError with its error otherwise."""
    process = subprocess.run(  # noqa: S603 - dvc alone, no shell
        [sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False
    )
    if process.returncode:
        lines = [line for line in process.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else "no reason given"
        raise UserError(f"`dvc {' '.join(arguments)}` failed: {reason}")
    return process.stdout
