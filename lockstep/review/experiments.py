"""The runs that DVC knows: of commits, of the experiments on them and of the workspace."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lockstep.errors import UserError
from lockstep.params import Part
from lockstep.verify.clone import parse_lock, run_git

FRACTION = "prepare.split.train_fraction"
FOLDS = "prepare.split.folds"
FOLD = "prepare.split.fold"
SEED = "seed"

METRICS = "reports/metrics.json"
MODEL = "data/predicted/merged"
"""The output whose figures are compared."""
WORKSPACE = "workspace"
"""What DVC calls it, in the place of a commit's hash."""

Lock = Mapping[str, Mapping[str, Any]]
"""The stages of a dvc.lock."""
Suites = dict[str, dict[str, float]]


class Records(Part):
    train: int
    test: int


class Losses(Part):
    """In nats, for most objectives a token's."""

    loss: float
    validation_loss: float

    @property
    def gap(self) -> float:
        """By how much the validation loss is greater."""
        return self.validation_loss - self.loss


class Metrics(Part):
    """What is read of metrics.json."""

    base: Suites
    merged: Suites
    data: Records
    train: Losses


@dataclass(frozen=True, slots=True)
class Run:
    """One that came to its end."""

    name: str
    made_of: dict[str, Any]
    """What its merged model and its scores stem from: each value of params.yaml by its dotted name,
    the hash of each file that no stage made by its path."""
    metrics: Metrics

    @property
    def fraction(self) -> float:
        """The share of the training records in use."""
        return float(self.made_of[FRACTION])

    @property
    def folds(self) -> int:
        """k; 0 where the test split is no fold."""
        return int(self.made_of[FOLDS])

    @property
    def fold(self) -> int:
        return int(self.made_of[FOLD])

    @property
    def seed(self) -> int:
        return int(self.made_of[SEED])


def collect(commits: int) -> tuple[list[Run], dict[str, str]]:
    """The runs of the last so many commits (first parents; of all where it is negative), of their
    experiments and of the workspace; those that are left out, by name, with the reason.

    Two runs of the same params, code and data are one: the pipeline gives the same bytes again.
    """
    runs: dict[str, Run] = {}
    left_out: dict[str, str] = {}
    for name, state, entry in entries(_listing(commits)):
        try:
            run = read(name, state, entry)
        except ValueError as error:
            left_out[name] = str(error)
            continue
        same = runs.setdefault(identity(run), run)
        if same is not run and name != WORKSPACE:
            left_out[name] = f"the same params, code and data as {same.name}"
    return list(runs.values()), left_out


def identity(run: Run, free: Sequence[str] = ()) -> str:
    """The same for runs that are made of the same, but for what is free; 1 and 1.0 are the same."""
    fixed = {
        name: float(value) if type(value) is int else value
        for name, value in run.made_of.items()
        if name not in free
    }
    return json.dumps(fixed, sort_keys=True)


def entries(listing: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, state, entry) of each commit and experiment that `dvc exp show --json` lists, the
    workspace last."""
    for commit in sorted(listing, key=lambda one: one["rev"] == WORKSPACE):
        yield _name(commit), "success", commit
        for experiment in commit["experiments"] or []:
            entry = experiment["revs"][0]
            state = experiment["executor"]["state"] if experiment["executor"] else "success"
            yield _name(entry), state, entry


def _name(entry: dict[str, Any]) -> str:
    return entry["name"] or (WORKSPACE if entry["rev"] == WORKSPACE else entry["rev"][:7])


def read(name: str, state: str, entry: dict[str, Any]) -> Run:
    """The run of an entry; ValueError says why there is none."""
    if state != "success":
        raise ValueError(state)
    if entry["error"]:
        raise ValueError(entry["error"]["msg"])
    file = entry["data"]["metrics"].get(METRICS, {})
    if "data" not in file:
        raise ValueError(f"has no {METRICS}")
    try:
        metrics = Metrics.model_validate(file["data"])
    except ValidationError as error:
        lacks = ".".join(map(str, error.errors()[0]["loc"]))
        raise ValueError(f"its {METRICS} lacks {lacks}") from None
    return Run(name, made_of(parse_lock(_lock(entry["rev"]))), metrics)


def made_of(stages: Lock) -> dict[str, Any]:
    """What the merged variant's figures stem from: Run.made_of.

    dvc.lock has the values with which a stage ran, params.yaml those with which it will. ValueError
    where some stages have not run since.
    """
    if late := late_stage(stages):
        raise ValueError(f"unfinished: {late}")
    found: dict[str, Any] = {}
    waiting: list[tuple[str, str | None]] = [(MODEL, None)]
    seen: set[str] = set()
    while waiting:
        path, digest = waiting.pop()
        makers = _makers(path, stages)
        if not makers:
            found[path] = digest
        for maker in makers - seen:
            seen.add(maker)
            waiting += [(dep["path"], dep.get("md5")) for dep in stages[maker].get("deps", [])]
            for values in stages[maker].get("params", {}).values():
                for name, value in _leaves(values):
                    if found.setdefault(name, value) != value:
                        raise ValueError(f"unfinished: {maker} has another {name} than others")
    if missing := [name for name in (FRACTION, FOLDS, FOLD, SEED) if name not in found]:
        raise ValueError(f"its dvc.lock has no {missing[0]} for {MODEL}")
    return found


def late_stage(stages: Lock) -> str | None:
    """A stage that has not run since another one made what it reads anew."""
    made = {
        out["path"]: out.get("md5") for stage in stages.values() for out in stage.get("outs", [])
    }
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            if made.get(dep["path"], dep.get("md5")) != dep.get("md5"):
                return f"{name} has not run since {dep['path']} changed"
    return None


def _makers(path: str, stages: Lock) -> set[str]:
    """The stage with an output that is the path or holds it, if there is one."""
    return {
        name
        for name, stage in stages.items()
        for out in stage.get("outs", [])
        if Path(path).is_relative_to(out["path"])
    }


def _leaves(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value); a list is one value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _lock(revision: str) -> str:
    """The dvc.lock of a commit or the workspace; ValueError where there is none."""
    try:
        if revision == WORKSPACE:
            return Path("dvc.lock").read_text(encoding="utf-8")
        return run_git(Path(), "show", f"{revision}:./dvc.lock")
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise ValueError("has no dvc.lock") from None


def _listing(commits: int) -> list[dict[str, Any]]:
    """What `dvc exp show --json` lists: the one account of experiments that DVC documents and that
    has their figures as numbers."""
    done = subprocess.run(  # noqa: S603 - fixed words and a number, no shell line
        [sys.executable, "-m", "dvc", "exp", "show", "--json", "--num", str(commits)],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if done.returncode:
        reason = " ".join(done.stderr.split()).removeprefix("ERROR: ")[:200]
        raise UserError(f"DVC lists no runs ({reason}); run from the root of the repository")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
