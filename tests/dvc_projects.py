"""A small pipeline in a repository of its own, with commits, branches and clones."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest import mock

from dvc.repo import Repo

from tests.conftest import REPOSITORY

PIPELINE = """\
stages:
  prepare:
    cmd: exec python scripts/prepare.py data/raw data/prepared
    deps: [data/raw, scripts/prepare.py]
    params: [prepare]
    outs: [data/prepared]
  train:
    cmd: exec python scripts/train.py data/prepared data/model reports
    deps: [data/prepared, scripts/train.py]
    params: [train]
    outs:
      - data/model
      - reports/metrics.json: {cache: false}
metrics: [reports/metrics.json]
"""
PREPARE = """\
import pathlib, sys
raw, prepared = map(pathlib.Path, sys.argv[1:])
prepared.mkdir(parents=True)
rows = sorted((raw / "rows.csv").read_text().split())
(prepared / "train.csv").write_text("\\n".join(rows))
"""
TRAIN = """\
import json, pathlib, sys
prepared, model, reports = map(pathlib.Path, sys.argv[1:])
rate = pathlib.Path("params.yaml").read_text().partition("rate: ")[2].split()[0]
rows = (prepared / "train.csv").read_text().split()
model.write_text(rate + "".join(rows))
reports.mkdir(exist_ok=True)
metrics = {"merged": {"intent": {"accuracy": float(rate) + len(rows) / 100}}}
(reports / "metrics.json").write_text(json.dumps(metrics))
"""
FILES = {
    "dvc.yaml": PIPELINE,
    "params.yaml": "prepare: {seed: 1}\ntrain:\n  rate: 0.5\n",
    "scripts/prepare.py": PREPARE,
    "scripts/train.py": TRAIN,
    "data/raw/rows.csv": "b\na\nc\n",
    ".gitignore": "/build/\n",
    ".gitattributes": "dvc.lock -merge\n",
}


def build_environment(root: Path) -> dict[str, str]:
    """Return variables for git and dvc that depend on no setting of the machine or its user."""
    names = {f"GIT_{role}_{key}": "tester" for role in ("AUTHOR", "COMMITTER")
             for key in ("NAME", "EMAIL")}  # fmt: skip
    outer = "DVC_", "GIT_", "GITHUB_", "MAKEFLAGS", "MAKELEVEL"  # the last two of `make test`
    kept = {k: v for k, v in os.environ.items() if not k.startswith(outer)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | names | {
        "PATH": path,
        "DVC_SITE_CACHE_DIR": str(root.parent / "site"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(REPOSITORY),
    }  # fmt: skip


def run(root: Path, *command: str, code: int = 0) -> str:
    """Run a command in the repository and return its output; it must exit with `code`."""
    process = subprocess.run(
        command, cwd=root, env=build_environment(root), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.returncode == code, process.stdout
    return process.stdout


def run_git(root: Path, *arguments: str, code: int = 0) -> str:
    return run(root, "git", *arguments, code=code)


def run_dvc(root: Path, *arguments: str, code: int = 0) -> str:
    return run(root, sys.executable, "-m", "dvc", *arguments, code=code)


@contextlib.contextmanager
def open_dvc(root: Path) -> Iterator[Repo]:
    """Open DVC in this process, which starts in a quarter of the time of its command."""
    with (
        mock.patch.dict(os.environ, build_environment(root), clear=True),
        contextlib.chdir(root),
        contextlib.closing(Repo(".")) as repository,
    ):
        yield repository


def init_dvc(root: Path) -> None:
    """Create a DVC project in a git repository."""
    with mock.patch.dict(os.environ, build_environment(root), clear=True):
        Repo.init(str(root)).close()


def reproduce(root: Path) -> None:
    """Run the stages that changed."""
    with open_dvc(root) as repository:
        repository.reproduce()


def write_files(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")


def commit(root: Path, message: str) -> str:
    """Commit everything and return the hash."""
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message", message)
    return run_git(root, "rev-parse", "HEAD").strip()


def create_project(root: Path, files: Mapping[str, str] = FILES, *, repro: bool = True) -> Path:
    """Create a repository with a DVC project on the branch main and one commit."""
    root.mkdir(parents=True)
    run_git(root, "init", "--quiet", "--initial-branch", "main")
    init_dvc(root)
    write_files(root, files)
    if repro:
        reproduce(root)
    commit(root, "Run the pipeline")
    return root


def clone(source: Path, target: Path, branch: str = "main") -> Path:
    """Clone a branch into a folder; the clone has no DVC cache."""
    run_git(source, "clone", "--quiet", "--branch", branch, str(source), str(target))
    return target
