"""`python -m lockstep.doctor` prints a line for each subject; it exits with 2 for errors only."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

FAST_TORCH = """
from types import SimpleNamespace
__version__, version = "1.0", SimpleNamespace(cuda=None)
cuda = SimpleNamespace(is_available=lambda: False)
"""
"""Module in the place of torch, whose import would take seconds."""


def run_doctor(folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "torch.py").write_text(FAST_TORCH)
    return subprocess.run(
        [sys.executable, "-m", "lockstep.doctor"],
        cwd=folder, env={**os.environ, "PYTHONPATH": f"{folder}:{REPOSITORY}"},
        capture_output=True, text=True,
    )  # fmt: skip


def test_another_folder_is_one_plain_line(tmp_path: Path):
    result = run_doctor(tmp_path)
    assert (result.returncode, result.stderr) == (2, "")
    line, summary = result.stdout.splitlines()
    assert line.startswith(f"error    folder    {tmp_path} has no dvc.yaml; ")
    assert summary == "doctor: errors: 1, warnings: 0"


def test_a_copy_without_git_has_one_error(tmp_path: Path):
    """The archive of a commit that one downloads has no .git folder."""
    for name in ("dvc.yaml", "params.yaml", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / ".dvc", tmp_path / ".dvc", ignore=lambda *_: ["cache", "tmp"])
    result = run_doctor(tmp_path)
    assert (result.returncode, result.stderr) == (2, ""), result.stdout
    *lines, summary = result.stdout.splitlines()
    levels, subjects = zip(*(line.split()[:2] for line in lines), strict=True)
    assert subjects[:4] == ("python", "packages", "gpu", "disk")
    assert [line for line in lines if line.startswith("error")] == [
        line for line in lines if " git " in line[:18]
    ]
    assert levels.count("error") == 1
    assert summary.startswith("doctor: errors: 1, ")


def test_warnings_do_not_change_the_exit_code(tmp_path: Path):
    """A finished clone without a remote and without packages of other versions works."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "constraints.txt").write_text("click==0.1\n")
    result = run_doctor(tmp_path)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert "warning  packages  not the version of constraints.txt: click" in result.stdout
    assert "warning  remote" in result.stdout
