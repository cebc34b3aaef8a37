"""Two stages never use one GPU at the same time; the second one waits and says for whom."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstep.cli import device_lock
from tests.conftest import REPOSITORY, write_params

HOLD = """
import sys, time
from lockstep.cli.device_lock import hold_devices

with hold_devices("train", sys.argv[1:]):
    print("holds", flush=True)
    time.sleep(60)
"""
TOOL = """#!/bin/sh
echo "0, GPU-aaaa-1111"
echo "1, GPU-bbbb-2222"
"""


@pytest.fixture(autouse=True)
def lock_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the locks of the test in its own folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def hold_elsewhere() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that holds devices and wait until it has them."""
    processes = []

    def start(*devices: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, *devices],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        assert process.stdout is not None and process.stdout.readline() == "holds\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_the_second_stage_waits_until_the_first_is_killed(
    hold_elsewhere: Callable[..., subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    first = hold_elsewhere("b", "a")
    with device_lock.hold_devices("predict", ["c"]):
        assert capsys.readouterr().err == "", "another device is free"
    threading.Timer(0.5, first.send_signal, [signal.SIGKILL]).start()
    with device_lock.hold_devices("predict", ["a"]):
        assert first.wait() == -signal.SIGKILL, "the lock is free only after the first has ended"
        message = capsys.readouterr().err
        assert message.startswith("predict: waits for GPU a, which is in use (train in ")
        assert f"process {first.pid})" in message and "CUDA_VISIBLE_DEVICES" in message
        with device_lock.open_lock("a") as stream:
            assert f"predict in {Path.cwd()}" in stream.read()


def test_a_lock_is_free_after_the_block() -> None:
    with device_lock.open_lock("a") as stream:
        with device_lock.hold_devices("train", ["a"]):
            assert device_lock.is_taken(stream)
        assert not device_lock.is_taken(stream)
        assert device_lock.take_lock(stream, "me") is None
        with device_lock.open_lock("a") as other:
            assert device_lock.take_lock(other, "you") == "me"


def test_users_of_a_machine_share_the_locks() -> None:
    mask = os.umask(0o077)
    try:
        with device_lock.open_lock("GPU-1"):
            pass
    finally:
        os.umask(mask)
    folder = device_lock.get_lock_folder()
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert (folder / "GPU-1.lock").stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize(
    ("visible", "devices"),
    [
        (None, ["GPU-aaaa-1111", "GPU-bbbb-2222"]),
        ("", []),
        ("-1", []),
        ("1", ["GPU-bbbb-2222"]),
        ("GPU-aaaa", ["GPU-aaaa-1111"]),
        ("1, 0", ["GPU-aaaa-1111", "GPU-bbbb-2222"]),
        ("MIG-5", ["MIG-5"]),
    ],
)
def test_an_index_and_a_uuid_are_the_same_device(
    visible: str | None, devices: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia-smi").write_text(TOOL)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert device_lock.list_visible_devices(environment) == devices


def test_a_stage_that_loads_models_locks_its_devices(tmp_path: Path, tiny_model: Path) -> None:
    """`judge` without a judge loads no model, but its params have the section `compute`."""
    write_params(tmp_path, {"runtime.device": "auto"})
    for path in ("predicted", "out"):
        (tmp_path / path).mkdir()
    (tmp_path / "test.jsonl").write_text("")

    def start(stage: str, *arguments: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": "0"}
        return subprocess.Popen(
            [sys.executable, "-m", f"stages.{stage}", *arguments],
            cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    with device_lock.open_lock("0") as lock:
        assert device_lock.take_lock(lock, "another clone") is None
        rubric = str(REPOSITORY / "data/rubric.yaml")
        process = start("judge", "predicted", "test.jsonl", rubric, "judged")
        assert process.stderr is not None
        assert "judge: waits for GPU 0" in process.stderr.readline()
        base = start("base", str(tiny_model), "base")  # does not wait
        assert "waits" not in base.communicate(timeout=120)[1]
        assert process.poll() is None
        fcntl.flock(lock, fcntl.LOCK_UN)
    assert "0 judgements" in process.communicate(timeout=120)[1]
    assert process.returncode == 0
