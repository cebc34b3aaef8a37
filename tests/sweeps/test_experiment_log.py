"""The log of a failed experiment begins with the error."""

from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.sweeps import experiment_log
from lockstep.sweeps.queueing import Experiment

DVC = [
    "Running stage 'train':",
    "> exec python -m stages.train",
    "ERROR: failed to reproduce 'train': failed to run: exec python -m stages.train, exited with 2",
]


def test_the_errors_of_the_stage_come_first() -> None:
    lines = [*DVC[:2], "error: a: one", "error: b: two", DVC[2]]
    assert experiment_log.summarize_log("\n".join(lines), 2) == [
        "error: a: one", "error: b: two", "", "error: b: two", DVC[2],
    ]  # fmt: skip


def test_a_traceback_is_told_by_its_exception() -> None:
    lines = [
        *DVC[:2], "Traceback (most recent call last):", '  File "a.py", line 1, in main',
        "torch.OutOfMemoryError: CUDA out of memory.", DVC[2],
    ]  # fmt: skip
    assert experiment_log.find_errors(lines) == ["torch.OutOfMemoryError: CUDA out of memory."]


def test_a_signal_or_dvc_s_own_error_is_found_and_success_has_none() -> None:
    stopped = "stopped by SIGTERM; no partial output was left"
    assert experiment_log.find_errors([*DVC[:2], stopped, DVC[2]]) == [stopped]
    assert experiment_log.find_errors(DVC) == DVC[2:]
    killed = DVC[2].replace("with 2", "with -9")
    (line,) = experiment_log.find_errors([*DVC[:2], killed])
    assert line == "train: ended by signal 9 (Killed), which the system does if memory runs out"
    assert experiment_log.summarize_log("step 1\rstep 2\n\nend\n", 5) == ["step 2", "end"]


def test_an_experiment_without_output_is_a_mistake(tmp_path: Path) -> None:
    waiting = Experiment("a", "queued", "0" * 40, None, None)
    with pytest.raises(UserError, match="NAME: a: waits in the queue"):
        experiment_log.find_log("a", {"a": waiting})
    with pytest.raises(UserError, match="NAME: b: no such experiment on this commit; there are: a"):
        experiment_log.find_log("b", {"a": waiting})
    (tmp_path / "log").write_bytes(b"caf\xe9")
    ended = Experiment("a", "failed", "0" * 40, tmp_path / "log", None)
    assert experiment_log.find_log("a", {"a": ended}) == "caf\ufffd"
