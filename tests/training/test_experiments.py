"""A training resumes under `dvc exp run --temp` and gives the result of `dvc repro`."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY, tiny_params

pytestmark = pytest.mark.slow

PIPELINE = """\
stages:
  train:
    cmd: >-
      exec python -m stages.train
      base augmented prepared/validation.jsonl prepared/labels.json trained
    deps: [base, augmented, prepared]
    params: [compute, seed, train, weights]
    outs: [trained]
"""
CHANGES = {
    "train.epochs": 40.0,  # long enough to be killed before it ends
    "train.log_steps": 10,
    "train.evaluation_steps": 0,
    "runtime.checkpoint_steps": 10,
}


@pytest.fixture
def clone(workplace: Path) -> Callable[..., subprocess.Popen[str]]:
    """Make the workplace a repository with one stage, and return how to start a command in it."""
    values = tiny_params(CHANGES)
    with (workplace / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(values, stream)
    (workplace / "dvc.yaml").write_text(PIPELINE)
    (workplace / ".gitignore").write_text("/trained\n.scratch\n")
    site = workplace.parent / "site"
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "SHELL"))},
        "PYTHONPATH": str(REPOSITORY),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(site),
        "DVC_NO_ANALYTICS": "1",
        **{f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")},
    }  # fmt: skip

    def start(*command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=workplace, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    for command in (
        ["git", "init", "-q"],
        ["dvc", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "start"],
    ):
        finish(start(*command))
    return start


def finish(process: subprocess.Popen[str]) -> str:
    out = process.communicate(timeout=300)[0]
    assert process.returncode == 0, out
    return out


def output_hash(lock: str) -> Any:
    """Return the hash of the stage's output."""
    return YAML(typ="safe").load(lock)["stages"]["train"]["outs"][0]["md5"]


def experiments(clone: Callable[..., subprocess.Popen[str]]) -> Sequence[str]:
    """Return the hash of the output of each experiment."""
    refs = finish(clone("git", "for-each-ref", "--format=%(refname)", "refs/exps")).split()
    names = [ref for ref in refs if re.search(r"/[a-z]+-[a-z]+$", ref)]
    return [output_hash(finish(clone("git", "show", f"{ref}:dvc.lock"))) for ref in names]


def test_a_killed_experiment_resumes(clone: Callable[..., subprocess.Popen[str]], workplace: Path):
    process = clone("dvc", "exp", "run", "--temp")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("train: step 30/"):
            break
    process.kill()  # DVC itself; the stage notices it, saves a checkpoint and ends
    process.wait()
    deadline = time.monotonic() + 60
    while list((workplace / ".scratch/train").glob("*.lock")):
        assert time.monotonic() < deadline, "the stage still runs after dvc has ended"
        time.sleep(0.1)
    assert not experiments(clone)

    out = finish(clone("dvc", "exp", "run", "--temp"))
    assert re.search(r"train: resumes at step \d+ of 120", out)
    (killed,) = experiments(clone)
    finish(clone("dvc", "repro", "-f"))
    assert killed == output_hash((workplace / "dvc.lock").read_text())

    finish(clone("git", "add", "dvc.lock"))
    finish(clone("git", "commit", "-qm", "trained"))
    finish(clone("dvc", "exp", "run", "--queue", "-S", "seed=8"))
    finish(clone("dvc", "queue", "start", "-j", "1"))
    deadline = time.monotonic() + 120
    while len(experiments(clone)) < 2:
        assert time.monotonic() < deadline, finish(clone("dvc", "queue", "status"))
        time.sleep(1)
    assert len(set(experiments(clone))) == 2
