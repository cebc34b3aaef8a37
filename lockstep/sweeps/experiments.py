"""Collect the runs that DVC knows: commits, the experiments on them and the workspace."""

import json
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lockstep.data.splitting import SplitParams
from lockstep.errors import UserError
from lockstep.params import Part
from lockstep.verify.clone import parse_lock, run_git

FRACTION = "prepare.split.train_fraction"
FOLDS = "prepare.split.folds"
FOLD = "prepare.split.fold"
SEED = "seed"

METRICS_FILE = "reports/metrics.json"
PREDICTIONS = "data/predicted/{}"
"""Output of `predict` for a variant, from which its metrics are computed."""
METRIC_INPUTS = (
    "evaluate.json_schemas",
    "evaluate.metrics",
    "lockstep/data/json_schemas.py",
    "lockstep/metrics",
)
"""Params and deps of `evaluate` that can change a metric of the merged model."""
WORKSPACE = "workspace"
"""DVC's name for the workspace, in the place of a commit's hash."""

Lock = Mapping[str, Mapping[str, Any]]
"""Stages of a dvc.lock."""
SuiteMetrics = dict[str, dict[str, float]]
"""Suite -> metric -> value."""


class RecordCounts(Part):
    """Number of records in the splits."""

    train: int
    test: int


class Losses(Part):
    """Losses at the end of training, in nats; for most objectives per token."""

    loss: float
    validation_loss: float

    @property
    def gap(self) -> float:
        """Validation loss minus training loss."""
        return self.validation_loss - self.loss


class Weights(Part):
    """Weights of the form that ships."""

    bytes: int


class RunMetrics(Part):
    """The part of metrics.json that the summary of runs uses."""

    base: SuiteMetrics
    merged: SuiteMetrics
    """Metrics of the merged model, or of the quantized one if a sweep compares that."""
    data: RecordCounts
    train: Losses
    quantize: Weights | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A complete run of the pipeline."""

    name: str
    inputs: dict[str, Any]
    """Everything that determines the metrics of the merged model: params by dotted name, and files
    that no stage writes by path, with their hashes."""
    metrics: RunMetrics
    revision: str = WORKSPACE
    """Commit with its reports."""
    variant: str = "merged"
    """Variant of the model to which the metrics belong."""

    @property
    def fraction(self) -> float:
        """Share of the training records in use."""
        return float(self.inputs[FRACTION])

    @property
    def folds(self) -> int:
        """Number of folds (k); 0 without cross-validation."""
        return int(self.inputs[FOLDS])

    @property
    def fold(self) -> int:
        """Number of the fold that is the test split, from 0."""
        return int(self.inputs[FOLD])

    @property
    def seed(self) -> int:
        """Seed of every random choice."""
        return int(self.inputs[SEED])


def collect_runs(
    commits: int, names: Collection[str] = (), variant: str = "merged"
) -> tuple[list[Run], dict[str, str]]:
    """Return the complete runs, and the name and reason of each run that is left out.

    The runs are those of the last `commits` commits (first parents; -1 for all), of the experiments
    on them and of the workspace; with `names`, only the experiments of these names. Runs with equal
    inputs give equal bytes, so only one of them is returned.
    """
    runs: dict[str, Run] = {}
    left_out: dict[str, str] = {}
    for name, state, entry in iterate_entries(list_experiments(commits)):
        if names and name not in names:
            continue
        try:
            run = parse_run(name, state, entry, variant)
        except ValueError as error:
            left_out[name] = str(error)
            continue
        first = runs.setdefault(build_run_key(run), run)
        if first is not run and name != WORKSPACE:
            left_out[name] = f"the same params, code and data as {first.name}"
    return list(runs.values()), left_out


def build_run_key(run: Run, ignored: Sequence[str] = ()) -> str:
    """Return a string that is equal for runs whose inputs are equal, apart from the ignored ones.

    The numbers 1 and 1.0 are equal.
    """
    inputs = {
        name: float(value) if type(value) is int else value
        for name, value in run.inputs.items()
        if name not in ignored
    }
    return json.dumps(inputs, sort_keys=True)


def list_experiments(commits: int) -> list[dict[str, Any]]:
    """Return what `dvc exp show --json` lists for this number of commits.

    No other documented interface of DVC gives the metrics of experiments as numbers.
    """
    process = subprocess.run(  # noqa: S603 - fixed words and a number, no shell line
        [sys.executable, "-m", "dvc", "exp", "show", "--json", "--num", str(commits)],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if process.returncode:
        reason = " ".join(process.stderr.split()).removeprefix("ERROR: ")[:200]
        raise UserError(f"DVC lists no runs ({reason}); run from the root of the repository")
    listing: list[dict[str, Any]] = json.loads(process.stdout)
    return listing


def iterate_entries(listing: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (name, state, entry) of each commit and experiment in a listing, the workspace last."""
    for commit in sorted(listing, key=lambda entry: entry["rev"] == WORKSPACE):
        yield _name_entry(commit), "success", commit
        for experiment in commit["experiments"] or []:
            entry = experiment["revs"][0]
            state = experiment["executor"]["state"] if experiment["executor"] else "success"
            yield _name_entry(entry), state, entry


def parse_run(name: str, state: str, entry: dict[str, Any], variant: str = "merged") -> Run:
    """Return the run of an entry; raise ValueError with the reason if it is not complete."""
    if state != "success":
        raise ValueError(state)
    if entry["error"]:
        raise ValueError(entry["error"]["msg"])
    file = entry["data"]["metrics"].get(METRICS_FILE, {})
    if "data" not in file:
        raise ValueError(f"has no {METRICS_FILE}")
    try:
        measured = {"merged": file["data"][variant]} if variant in file["data"] else {}
        metrics = RunMetrics.model_validate({**file["data"], **measured})
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise ValueError(f"its {METRICS_FILE} lacks {key}") from None
    inputs = collect_inputs(parse_lock(_read_lock(entry["rev"])), variant)
    return Run(name, inputs, metrics, entry["rev"], variant)


def collect_inputs(stages: Lock, variant: str = "merged") -> dict[str, Any]:
    """Return what determines the metrics of a variant of the model, as in Run.inputs.

    The values come from dvc.lock: it records those with which a stage ran, while params.yaml may
    have changed since. Raise ValueError if some stages have not run since a change.
    """
    if outdated := find_outdated_stage(stages):
        raise ValueError(f"unfinished: {outdated}")
    inputs: dict[str, Any] = {}
    predictions = PREDICTIONS.format(variant)
    queue: list[tuple[str, str | None]] = [(predictions, None)]
    visited: set[str] = set()
    while queue:
        path, digest = queue.pop()
        writers = _find_writers(path, stages)
        if not writers:
            inputs[path] = digest
        for stage in writers - visited:
            visited.add(stage)
            queue += _list_deps(stages[stage])
            for name, value in _list_params(stages[stage]):
                if inputs.setdefault(name, value) != value:
                    raise ValueError(f"unfinished: {stage} ran with another {name} than others")
    for stage in _find_writers(METRICS_FILE, stages):
        settings = [*_list_params(stages[stage]), *_list_deps(stages[stage])]
        inputs |= {name: value for name, value in settings if name.startswith(METRIC_INPUTS)}
    if SEED not in inputs:
        raise ValueError(f"its dvc.lock has no {SEED} for {predictions}")
    defaults = SplitParams.model_fields
    for name in (FRACTION, FOLDS, FOLD):  # params.yaml may leave them to their defaults
        inputs.setdefault(name, defaults[name.rpartition(".")[2]].default)
    return inputs


def find_outdated_stage(stages: Lock) -> str | None:
    """Describe a stage that has not run since another stage changed one of its deps."""
    hashes = {
        out["path"]: out.get("md5") for stage in stages.values() for out in stage.get("outs", [])
    }
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            if hashes.get(dep["path"], dep.get("md5")) != dep.get("md5"):
                return f"{name} has not run since {dep['path']} changed"
    return None


def _name_entry(entry: dict[str, Any]) -> str:
    return entry["name"] or (WORKSPACE if entry["rev"] == WORKSPACE else entry["rev"][:7])


def _find_writers(path: str, stages: Lock) -> set[str]:
    """Return the stage that writes a path or a folder around it; an empty set if none does."""
    return {
        name
        for name, stage in stages.items()
        for out in stage.get("outs", [])
        if Path(path).is_relative_to(out["path"])
    }


def _list_deps(stage: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return (path, hash) of each dep of a stage."""
    return [(dep["path"], dep.get("md5")) for dep in stage.get("deps", [])]


def _list_params(stage: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return (dotted name, value) of each parameter of a stage."""
    files = stage.get("params", {}).values()
    return [item for values in files for item in _flatten(values)]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of nested params; a list is one value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _read_lock(revision: str) -> str:
    """Return the dvc.lock of a commit or the workspace; raise ValueError if there is none."""
    text = read_file(revision, "dvc.lock")
    if text is None:
        raise ValueError("has no dvc.lock")
    return text


def read_file(revision: str, path: str) -> str | None:
    """Return the text of a file in a commit or the workspace; None if it is not there."""
    try:
        if revision == WORKSPACE:
            return Path(path).read_text(encoding="utf-8")
        return run_git(Path(), "show", f"{revision}:./{path}")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
