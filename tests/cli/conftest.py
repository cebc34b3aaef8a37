"""A small command that ends in different ways, run as a process."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SUCCESS, BUG, MISTAKE = 0, 1, 2

COMMAND = """
import sys
import time
from pathlib import Path

import click

from lockstep import outputs
from lockstep.cli import provenance, runner
from lockstep.errors import UserError


@click.command()
@click.argument("action")
@click.argument("out", type=runner.OUT)
def main(action, out):
    with outputs.atomic_folder(out) as partial:
        (partial / "a").write_text("whole")
        if action == "wait":
            Path("ready").write_text("")
            time.sleep(60)
        if action == "refuse":
            raise UserError("a.csv:3: empty_text; repair it\\na.csv:9: control_token")
        if action == "bug":
            raise RuntimeError("a bug")
        if action == "large":
            (partial / "b").write_bytes(bytes(10**6))
        if action == "wrapped":
            raise RuntimeError("writer: I/O error: No space left on device (os error 28)")
        if action == "measure":
            provenance.add_timings(tokens_per_second=12.5)
    click.echo("done", err=True)


runner.run(main, first="--first" in sys.argv and not sys.argv.remove("--first"))
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with the command and the real parameters."""
    (tmp_path / "command.py").write_text(COMMAND)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    return tmp_path


def make_environment(**more: str) -> dict[str, str]:
    """Return the environment of the command, by default outside of DVC."""
    inherited = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    return {**inherited, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", **more}


def run_command(workspace: Path, *arguments: str, **more: str) -> tuple[int, list[str]]:
    """Run the command and return its exit code and the lines on stderr."""
    result = subprocess.run(
        [sys.executable, "command.py", *arguments],
        cwd=workspace, env=make_environment(**more), capture_output=True, text=True,
    )  # fmt: skip
    assert result.stdout == "", "stdout is not for messages"
    return result.returncode, result.stderr.splitlines()


def list_outputs(workspace: Path) -> list[str]:
    """Return the relative paths of all files and folders that the command wrote."""
    inputs = {"command.py", "params.yaml", "ready"}
    paths = (path.relative_to(workspace).as_posix() for path in workspace.rglob("*"))
    return sorted(path for path in paths if path not in inputs)


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait up to a minute and return whether the condition holds."""
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()
