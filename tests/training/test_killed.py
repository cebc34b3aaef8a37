"""Real processes that are really killed end in the bytes of an uninterrupted run."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Start = Callable[..., subprocess.Popen[str]]
ARGUMENTS = ("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json")
SETTINGS = {
    "train.adapter.lora_dropout": 0.2,
    "train.dropout": {"attention_dropout": 0.1},
    "train.batch_size": 2,
    "train.accumulation_steps": 2,
    "train.epochs": 8.0,
    "train.evaluation_steps": 2,
    "train.evaluation_answers": 3,
    "train.evaluation_tokens": 4,
    "train.early_stopping": {"patience": 6, "metric": "exact_match", "min_change": 0.0},
    "train.options": {"neftune_noise_alpha": 5.0},
    "runtime.checkpoint_steps": 1,
}
"""24 steps, 3 per epoch, with all options that draw random numbers or keep a state.

No answer is ever correct, so the first evaluation stays the best, and the seventh is the last.
"""


@pytest.fixture
def train_in_process(
    run_stage_in_process: Callable[..., str],
    workspace: Path,
    read_folder: Callable[[Path], dict[str, bytes]],
) -> Any:
    """Train within this process; return the output files and stderr."""

    def run(out: str) -> tuple[dict[str, bytes], str]:
        stderr = run_stage_in_process(*ARGUMENTS, out, changes=SETTINGS)
        return read_folder(workspace / out), stderr

    return run


def wait_for(process: subprocess.Popen[str], step: int) -> None:
    """Wait until the process prints that it has finished the step or a later one."""
    assert process.stderr is not None
    for line in process.stderr:
        match = re.match(r"train: step (\d+)/", line)
        if match and int(match[1]) >= step:
            return
    raise AssertionError(f"ended before step {step}")


def test_a_killed_or_stopped_run_resumes_to_the_same_bytes(
    start_stage: Start, train_in_process: Any, workspace: Path
):
    uninterrupted, stderr = train_in_process("whole")
    assert "resumes" not in stderr
    assert "train: step 14/24" in stderr
    assert "train: step 15/24" not in stderr  # early stopping

    rng = random.Random(7)
    for step in (2, 5):
        process = start_stage(*ARGUMENTS, "ended", changes=SETTINGS)
        wait_for(process, step)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not list(workspace.glob("*ended*"))

    kill_command = [sys.executable, str(Path(__file__).with_name("killed.py")), "6"]
    process = start_stage(*ARGUMENTS, "ended", changes=SETTINGS, command=kill_command)
    assert "resumes at step" in process.communicate(timeout=300)[1]
    assert process.returncode == -signal.SIGKILL

    process = start_stage(*ARGUMENTS, "ended", changes={**SETTINGS, "runtime.checkpoint_steps": 0})
    assert process.stderr is not None
    matches = (re.search(r"resumes at step (\d+) of 24", line) for line in process.stderr)
    resumed = next(match for match in matches if match)
    wait_for(process, int(resumed[1]) + 1)
    process.terminate()
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in stderr

    newest = sorted((workspace / ".scratch/train").glob("*/step-*"))[-1]
    assert int(newest.name[5:]) > int(resumed[1])  # saved although no checkpoint was due
    file = rng.choice([path for path in newest.rglob("*") if path.is_file()])
    file.write_bytes(file.read_bytes()[:-3])
    resumed_files, stderr = train_in_process("ended")
    assert f"{newest.name}: " in stderr
    assert "resumes at step" in stderr
    assert resumed_files == uninterrupted
    assert list((workspace / ".scratch/train").iterdir()) == []


def test_two_processes_with_the_same_key_take_turns(
    start_stage: Start, workspace: Path, read_folder: Any
):
    changes = {**SETTINGS, "train.epochs": 2.0}
    first = start_stage(*ARGUMENTS, "one", changes=changes)
    wait_for(first, 1)
    first.send_signal(signal.SIGSTOP)
    second = start_stage(*ARGUMENTS, "two", changes=changes)
    assert second.stderr is not None
    line = second.stderr.readline()
    assert line == f"train: process {first.pid} runs the same training; waiting until it ends\n"
    first.send_signal(signal.SIGCONT)
    for process in (first, second):
        process.communicate(timeout=300)
    assert (first.returncode, second.returncode) == (0, 0)
    assert read_folder(workspace / "one") == read_folder(workspace / "two")
