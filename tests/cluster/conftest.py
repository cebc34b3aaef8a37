"""A small pipeline with a git remote and a DVC remote, and clones of it."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.cli import main

from tests.conftest import REPOSITORY

PIPELINE = """\
stages:
  first:
    cmd: mkdir first && cp in.txt first/a.txt && echo first >> $RUNS
    deps: [in.txt]
    outs: [first]
  second:
    cmd: cat first/a.txt params.yaml > second.txt && echo second >> $RUNS
    deps: [first]
    params: [rate]
    outs: [second.txt]
"""
"""Two stages that note in the file $RUNS that they ran."""


class Clone:
    """A clone of the small pipeline."""

    def __init__(self, root: Path, runs: Path) -> None:
        self.root, self.runs = root, runs

    def git(self, *arguments: str) -> str:
        result = subprocess.run(
            ["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True
        )
        return result.stdout

    def dvc(self, *arguments: str) -> None:
        with contextlib.chdir(self.root):
            assert main([*arguments, "--quiet"]) == 0

    def list_runs(self) -> list[str]:
        """Return the stages that have run in any clone."""
        return self.runs.read_text().split()


@pytest.fixture
def clone_origin(tmp_path: Path) -> Callable[[str], Clone]:
    """Return a new clone of the git remote, in a folder of this name."""

    def clone(name: str) -> Clone:
        command = ["git", "clone", "--quiet", str(tmp_path / "origin"), str(tmp_path / name)]
        subprocess.run(command, check=True)
        return Clone(tmp_path / name, tmp_path / "runs")

    return clone


@pytest.fixture
def make_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clone_origin: Callable[[str], Clone]
) -> Callable[[str], Clone]:
    """Run the pipeline in one clone, push its outputs to a remote, and return a new clone.

    `remote` holds the lines of DVC's configuration of the remote.
    """
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.com")
    for variable in [name for name in os.environ if name.startswith("DVC_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))

    def make(remote: str) -> Clone:
        first = Clone(tmp_path / "first", tmp_path / "runs")
        first.root.mkdir()
        first.git("init", "--quiet", "--initial-branch", "main")
        first.dvc("init")
        text = f"[core]\n    remote = store\n    site_cache_dir = {tmp_path}/site\n"
        (first.root / ".dvc/config").write_text(f"{text}['remote \"store\"']\n{remote}")
        (first.root / "dvc.yaml").write_text(PIPELINE)
        (first.root / "params.yaml").write_text("rate: 1\n")
        (first.root / "in.txt").write_text("one\n")
        (first.root / "cluster").mkdir()
        shutil.copy(REPOSITORY / "cluster/experiment.sh", first.root / "cluster")
        first.dvc("repro")
        first.git("add", "--all")
        first.git("commit", "--quiet", "--message", "Run the pipeline")
        first.dvc("push")
        first.git("clone", "--quiet", "--bare", ".", str(tmp_path / "origin"))
        return clone_origin("second")

    return make
