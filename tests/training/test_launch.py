"""Training in several real processes (gloo) gives the loss curve of one process."""

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from lockstep.errors import UserError
from lockstep.models.compute import LaunchParams
from lockstep.records import Record
from lockstep.training.launch import build_launch_command, check_launch
from lockstep.training.train_params import TrainParams
from tests.conftest import REPOSITORY, make_tiny_params, write_params, write_stage_inputs

ARGUMENTS = ("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json")
SETTINGS = {
    "train.strategy": "full",
    "train.batch_size": 2,
    "train.accumulation_steps": 2,
    "train.epochs": 4.0,
    "train.learning_rate": 1e-3,
    "compute.threads": 1,
    "runtime.checkpoint_steps": 2,
}

LAUNCHES: dict[str, dict[str, Any]] = {
    "ddp": {"strategy": "ddp"},
    "fsdp": {"strategy": "fsdp"},
    "zero2": {"strategy": "deepspeed", "zero_stage": 2},
    "zero3": {"strategy": "deepspeed", "zero_stage": 3},
    "zero3-offload": {"strategy": "deepspeed", "zero_stage": 3, "offload": True},
}
"""Values of `runtime.launch` for a run in two processes, by the name of the run."""


def skip_without_deepspeed(name: str) -> None:
    """Skip the test if the run needs DeepSpeed, which is not a dependency."""
    if LAUNCHES[name]["strategy"] == "deepspeed":
        pytest.importorskip("deepspeed")


def find_free_port() -> int:
    """Return a TCP port for the processes of a run, so that runs side by side do not meet."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def read_loss_curve(folder: Path) -> list[tuple[float, float]]:
    """Return (loss, validation loss or 0) at each step."""
    with (folder / "log.csv").open(encoding="utf-8", newline="") as stream:
        return [
            (float(row["loss"]), float(row["validation_loss"] or 0))
            for row in csv.DictReader(stream)
        ]


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Path,
    corpus: list[Record],
) -> Path:
    """One workspace for all tests, which compare their runs."""
    return write_stage_inputs(tmp_path_factory.mktemp("launch"), tiny_model, corpus)


@pytest.fixture
def train_once(
    workspace: Path, run_stage: Callable[..., Any], run_stage_in_process: Callable[..., str]
) -> Callable[[str], Path]:
    """Return the output of a run in this process, or in two processes as LAUNCHES says.

    A run with the same name is not repeated.
    """

    def train(name: str = "one") -> Path:
        if not (workspace / name).exists():
            if name == "one":
                stderr = run_stage_in_process(*ARGUMENTS, name, changes=SETTINGS)
            else:
                launch = {"processes": 2, "port": find_free_port(), **LAUNCHES[name]}
                result = run_stage(*ARGUMENTS, name, changes={**SETTINGS, "runtime.launch": launch})
                assert result.returncode == 0, result.stderr
                stderr = result.stderr
            assert stderr.count("train: 12 steps on 12 rows") == 1
            assert list((workspace / ".scratch/train").iterdir()) == []
        return workspace / name

    return train


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHES)
def test_two_processes_give_the_curve_of_one(
    train_once: Callable[[str], Path], read_folder: Any, name: str
):
    """Each step sees the same rows; only the order of floating-point sums differs."""
    skip_without_deepspeed(name)
    one, two = train_once("one"), train_once(name)
    assert read_folder(one).keys() == read_folder(two).keys()
    for losses, parallel_losses in zip(read_loss_curve(one), read_loss_curve(two), strict=True):
        assert losses == pytest.approx(parallel_losses, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddp", "zero2", "zero3"])
def test_a_killed_worker_ends_all_workers_and_the_run_resumes(
    train_once: Callable[[str], Path],
    start_stage: Callable[..., subprocess.Popen[str]],
    workspace: Path,
    read_folder: Any,
    name: str,
):
    skip_without_deepspeed(name)
    uninterrupted = train_once(name)
    launch = {"processes": 2, "port": find_free_port(), **LAUNCHES[name]}
    changes = {**SETTINGS, "runtime.launch": launch}
    out = f"{name}-resumed"
    process = start_stage(*ARGUMENTS, out, changes=changes)
    assert process.stderr is not None
    assert any(line.startswith("train: step 4/") for line in process.stderr)
    processes = psutil.Process(process.pid).children(recursive=True)
    workers = [worker for worker in processes if "RANK" in worker.environ()]
    assert len(workers) == 2
    os.kill(workers[1].pid, signal.SIGKILL)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 2, stderr
    assert "error: one of 2 processes failed with exit code 1" in stderr
    deadline = time.monotonic() + 30
    while any(p.is_running() and p.status() != "zombie" for p in processes):
        assert time.monotonic() < deadline, "workers outlived the launcher"
        time.sleep(0.1)

    resumed = start_stage(*ARGUMENTS, out, changes=changes)
    stderr = resumed.communicate(timeout=300)[1]
    assert resumed.returncode == 0, stderr
    assert re.search(r"resumes at step \d+ of 12", stderr)
    assert read_folder(workspace / out) == read_folder(uninterrupted)


@pytest.mark.slow
def test_two_machines_are_two_launches(
    train_once: Callable[[str], Path],
    start_stage: Callable[..., subprocess.Popen[str]],
    workspace: Path,
    tmp_path: Path,
):
    """The launches communicate over loopback. The second one has a clone and writes nothing."""
    one = train_once("one")
    launch = {"machines": 2, "machine": 0, "port": find_free_port()}
    changes = {**SETTINGS, "runtime.launch": launch}
    first = start_stage(*ARGUMENTS, "both", changes=changes)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("base", "augmented", "prepared"):
        (other / name).symlink_to(workspace / name)
    write_params(other, {**changes, "runtime.launch.machine": 1})
    second = subprocess.Popen(
        [sys.executable, "-m", *(f"stages.{ARGUMENTS[0]}", *ARGUMENTS[1:]), "both"],
        cwd=other,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "DVC_ROOT": str(workspace)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    stderr = first.communicate(timeout=300)[1], second.communicate(timeout=300)[1]
    assert (first.returncode, second.returncode) == (0, 0), stderr
    assert not (other / "both").exists()
    for losses, parallel_losses in zip(
        read_loss_curve(one), read_loss_curve(workspace / "both"), strict=True
    ):
        assert losses == pytest.approx(parallel_losses, rel=1e-4)


def test_settings_that_several_processes_do_not_support_are_refused(
    make_launch: Callable[..., LaunchParams],
):
    params = TrainParams.model_validate(
        make_tiny_params({"train.early_stopping.patience": 3})["train"]
    )
    check_launch(make_launch(), params)
    check_launch(make_launch(processes=2), params)
    with pytest.raises(UserError, match="fsdp keeps no whole model in one process"):
        check_launch(make_launch(processes=2, strategy="fsdp"), params)
    quantized = TrainParams.model_validate(make_tiny_params({"train.strategy": "qlora"})["train"])
    with pytest.raises(UserError, match="deepspeed cannot shard 4-bit weights"):
        check_launch(make_launch(machines=2, strategy="deepspeed"), quantized)
    weighted = {"train.sft.weighting": "uncertainty"}
    with pytest.raises(UserError, match="trained task weights work in one process only"):
        check_launch(
            make_launch(processes=2),
            TrainParams.model_validate(make_tiny_params(weighted)["train"]),
        )


def test_the_command_line_follows_runtime_launch(make_launch: Callable[..., LaunchParams]):
    words = build_launch_command(
        make_launch(processes=4, machines=2, machine=1, address="10.0.0.1")
    )
    line = " ".join(words[1:])
    assert line.startswith("-m accelerate.commands.launch --num_processes 8 --num_machines 2 ")
    assert "--machine_rank 1" in line
    assert "--main_process_ip 10.0.0.1" in line
    assert "--multi_gpu" in words
    line = " ".join(
        build_launch_command(make_launch(strategy="deepspeed", zero_stage=3, offload=True))
    )
    assert "--use_deepspeed --zero_stage 3 --offload_optimizer_device cpu" in line
    assert "--offload_param_device cpu" in line
