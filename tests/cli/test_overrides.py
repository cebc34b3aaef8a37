"""`dvc exp run -S` sets keys of params.yaml, and keys that it leaves out, on a tiny repository."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

PIPELINE = """\
stages:
  show:
    cmd: exec python show.py
    params: [prepare, train]
    outs: [values.json: {cache: false}]
"""
SHOW = """\
from pathlib import Path

from lockstep import params
from lockstep.cli.params_check import check_parameters
from lockstep.cli.sections import Parameters

check_parameters()
parameters = Parameters.model_validate(params.parse())
Path("values.json").write_text(parameters.model_dump_json(), encoding="utf-8")
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the repository."""
    return tmp_path_factory.mktemp("repository")


@pytest.fixture(scope="module")
def run_in_repository(workspace: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in a git repository whose only stage writes the values that it reads."""
    shutil.copy(REPOSITORY / "params.yaml", workspace)
    (workspace / "dvc.yaml").write_text(PIPELINE)
    (workspace / "show.py").write_text(SHOW)
    people = {f"GIT_{role}_{field}": "t@example.org" for role in ("AUTHOR", "COMMITTER")
              for field in ("NAME", "EMAIL")}  # fmt: skip
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DVC_")},
        **people,
        "PYTHONPATH": str(REPOSITORY),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(workspace / ".site"),
        "DVC_NO_ANALYTICS": "1",
    }

    def start(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=workspace, env=environment, capture_output=True, text=True
        )

    start("git", "init", "-q")
    start("dvc", "init", "-q")
    start("git", "add", "-A")
    start("git", "commit", "-qm", "start").check_returncode()
    return start


@pytest.fixture
def run_command(
    run_in_repository: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in the repository, whose params.yaml is that of the first commit."""
    run_in_repository("git", "checkout", "params.yaml").check_returncode()
    return run_in_repository


def test_keys_of_the_file_and_defaults_are_set(
    run_command: Callable[..., subprocess.CompletedProcess[str]], workspace: Path
) -> None:
    assert "  max_characters:" not in (workspace / "params.yaml").read_text(encoding="utf-8")
    result = run_command(
        "dvc", "exp", "run",
        "-S", "train.learning_rate=3e-5", "-S", "+prepare.max_characters=5000",
        "-S", "+prepare.quality.min_score=0.5",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    values = json.loads((workspace / "values.json").read_text(encoding="utf-8"))
    assert values["train"]["learning_rate"] == 3e-5
    assert values["prepare"]["max_characters"] == 5000
    assert values["prepare"]["quality"] == {
        "max_repetition": 0.7, "length_ratio": [0.01, 100.0], "min_score": 0.5,
        "grades": [], "min_grade": 1.0,
    }  # fmt: skip


def test_a_forgotten_plus_and_wrong_quotes_are_explained(
    run_command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """The first message is DVC's own; docs/params.md quotes it."""
    without_plus = run_command("dvc", "exp", "run", "-S", "prepare.max_characters=5000")
    assert without_plus.returncode == 255
    assert "use +prepare.max_characters=5000: Key 'max_characters' is not in" in without_plus.stderr
    with_quotes = run_command("dvc", "exp", "run", "-S", "train.learning_rate='2e-4'")
    assert with_quotes.returncode == 255
    line = "train.learning_rate: input should be a valid number, not '2e-4'; remove the quotes"
    assert line in with_quotes.stderr + with_quotes.stdout
