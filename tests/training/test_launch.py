"""Several real processes on this machine, by gloo: one training, the same curve."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from lockstep.errors import UserError
from lockstep.models import compute
from lockstep.records import Record
from lockstep.training import launch
from lockstep.training.train_params import Train
from tests.conftest import REPOSITORY, furnish, tiny_params

ARGUMENTS = ("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json")
TOGETHER = {
    "train.strategy": "full",
    "train.batch_size": 2,
    "train.accumulation_steps": 2,
    "train.epochs": 4.0,
    "train.learning_rate": 1e-3,
    "compute.threads": 1,
    "runtime.checkpoint_steps": 2,
}


def settings(**changes: Any) -> compute.Launch:
    values = tiny_params({})["runtime"]["launch"]
    return compute.Launch.model_validate(values | changes)


def curve(folder: Path) -> list[tuple[float, float]]:
    """(loss, validation loss or 0) at each step."""
    with (folder / "log.csv").open(encoding="utf-8", newline="") as stream:
        return [
            (float(row["loss"]), float(row["validation_loss"] or 0))
            for row in csv.DictReader(stream)
        ]


@pytest.fixture(scope="module")
def workplace(
    tmp_path_factory: pytest.TempPathFactory,
    tiny: Path,
    corpus: list[Record],
    documents: list[str],
) -> Path:
    """One for all tests here: runs are compared with each other."""
    return furnish(tmp_path_factory.mktemp("launch"), tiny, corpus, documents)


@pytest.fixture
def run(
    workplace: Path, stage: Callable[..., Any], performed: Callable[..., str]
) -> Callable[[str], Path]:
    """What training wrote in this process, or in two others by a strategy; each is run once."""

    def of(strategy: str = "one") -> Path:
        both = {"runtime.launch.processes": 2, "runtime.launch.strategy": strategy}
        if not (workplace / strategy).exists():
            if strategy == "one":
                said = performed(*ARGUMENTS, strategy, changes=TOGETHER)
            else:
                done = stage(*ARGUMENTS, strategy, changes=TOGETHER | both)
                assert done.returncode == 0, done.stderr
                said = done.stderr
            assert said.count("train: 12 steps on 12 rows") == 1
            assert list((workplace / ".scratch/train").iterdir()) == []
        return workplace / strategy

    return of


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_give_the_curve_of_one(
    run: Callable[[str], Path], contents: Any, strategy: str
):
    """The same rows in each step; sums of floats in another order."""
    one, two = run("one"), run(strategy)
    assert contents(one).keys() == contents(two).keys()
    for ours, theirs in zip(curve(one), curve(two), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
def test_a_killed_worker_ends_all_and_the_run_goes_on(
    run: Callable[[str], Path],
    started: Callable[..., subprocess.Popen[str]],
    workplace: Path,
    contents: Any,
):
    whole = run("ddp")
    changes = {**TOGETHER, "runtime.launch.processes": 2}
    process = started(*ARGUMENTS, "out", changes=changes)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train: step 4/"):
            break
    family = psutil.Process(process.pid).children(recursive=True)
    workers = [one for one in family if "RANK" in one.environ()]
    assert len(workers) == 2
    os.kill(workers[1].pid, signal.SIGKILL)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 2, said
    assert "error: a process of 2 ended with 1" in said
    deadline = time.monotonic() + 30
    while any(one.is_running() and one.status() != "zombie" for one in family):
        assert time.monotonic() < deadline, "orphans are left"
        time.sleep(0.1)

    again = started(*ARGUMENTS, "out", changes=changes)
    said = again.communicate(timeout=300)[1]
    assert again.returncode == 0, said
    assert re.search(r"resumes at step \d+ of 12", said)
    assert contents(workplace / "out") == contents(whole)


@pytest.mark.slow
def test_two_machines_are_two_launches(
    run: Callable[[str], Path],
    started: Callable[..., subprocess.Popen[str]],
    workplace: Path,
    tmp_path: Path,
):
    """On loopback; the second one has a clone of its own and writes nothing."""
    one = run("one")
    changes = {**TOGETHER, "runtime.launch.machines": 2, "runtime.launch.port": 29611}
    first = started(*ARGUMENTS, "both", changes=changes)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("base", "augmented", "prepared"):
        (other / name).symlink_to(workplace / name)
    changed = (workplace / "params.yaml").read_text().replace("machine: 0", "machine: 1")
    (other / "params.yaml").write_text(changed)
    second = subprocess.Popen(
        [sys.executable, "-m", *(f"stages.{ARGUMENTS[0]}", *ARGUMENTS[1:]), "both"],
        cwd=other,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DVC_ROOT": str(workplace)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = first.communicate(timeout=300)[1], second.communicate(timeout=300)[1]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert not (other / "both").exists()
    for ours, theirs in zip(curve(one), curve(workplace / "both"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_what_cannot_be_shared_out_is_refused():
    values = tiny_params({"train.early_stopping.patience": 3})["train"]
    chosen = Train.model_validate(values)
    launch.check(settings(), chosen)
    launch.check(settings(processes=2), chosen)
    with pytest.raises(UserError, match="fsdp keeps no whole model in one process"):
        launch.check(settings(processes=2, strategy="fsdp"), chosen)
    quantized = Train.model_validate(tiny_params({"train.strategy": "qlora"})["train"])
    with pytest.raises(UserError, match="deepspeed does not split 4-bit weights"):
        launch.check(settings(machines=2, strategy="deepspeed"), quantized)


def test_the_command_says_what_runtime_says():
    words = launch.command(settings(processes=4, machines=2, machine=1, address="10.0.0.1"))
    line = " ".join(words[1:])
    assert line.startswith("-m accelerate.commands.launch --num_processes 8 --num_machines 2 ")
    assert "--machine_rank 1" in line
    assert "--main_process_ip 10.0.0.1" in line
    assert "--multi_gpu" in words
    words = launch.command(settings(strategy="deepspeed", zero_stage=3, offload=True))
    line = " ".join(words)
    assert "--use_deepspeed --zero_stage 3 --offload_optimizer_device cpu" in line
    assert "--offload_param_device cpu" in line
