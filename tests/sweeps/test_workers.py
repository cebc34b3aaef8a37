"""Each device has one worker, which sees no other device."""

import os
import tempfile
from pathlib import Path

import pytest

from lockstep.cli import device_lock
from lockstep.errors import UserError
from lockstep.sweeps import workers
from tests.conftest import write_params


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, locks of its own, and no nvidia-smi."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    write_params(tmp_path, {})
    return tmp_path


def test_each_gpu_or_group_of_gpus_has_a_slot() -> None:
    assert [slot.device for slot in workers.list_slots("0,1, 2", None)] == ["0", "1", "2"]
    assert [slot.device for slot in workers.list_slots("0+1,2+3", None)] == ["0,1", "2,3"]
    assert [slot.device for slot in workers.list_slots("", 2)] == ["", ""]
    assert len({slot.name for slot in workers.list_slots(None, 3)}) == 3
    with pytest.raises(UserError, match="name each GPU once"):
        workers.list_slots("0,1+0", None)
    with pytest.raises(UserError, match="set only one"):
        workers.list_slots("0", 2)


def test_without_gpus_there_is_one_worker_on_the_cpu() -> None:
    assert [slot.device for slot in workers.list_slots(None, None)] == [""]


def test_a_worker_sees_its_gpu_only() -> None:
    (slot,) = workers.list_slots("3", None)
    environment = workers._build_environment(slot)
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    (slot,) = workers.list_slots("", None)
    assert workers._build_environment(slot)["CUDA_VISIBLE_DEVICES"] == "", "no GPU at all"


@pytest.mark.parametrize(("owner", "is_ours"), [("worker in /another/clone", False), ("", True)])
def test_a_device_with_a_worker_gets_no_second_one(
    owner: str, is_ours: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worker of another clone is not waited for, that of this clone is."""
    slots = workers.list_slots("3", None)
    with device_lock.open_lock(slots[0].name) as lock:
        owner = owner or f"worker in {os.getcwd()}"  # noqa: PTH109 - as the worker's process sees it
        assert device_lock.take_lock(lock, owner) is None
        assert workers.start_workers(slots) == (slots if is_ours else [])
    assert capsys.readouterr().err == f"GPU 3: has a worker already ({owner})\n"
    assert not Path(".scratch").exists(), "nothing was started"


def test_clones_that_name_a_gpu_differently_mean_the_same_gpu(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One clone says 1, the other one all, or the UUID; nvidia-smi tells that they are equal."""
    tool = workspace / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, GPU-aaaa-1111'\necho '1, GPU-bbbb-2222'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    with pytest.raises(UserError, match="GPUS: 7: no such GPU"):
        workers.list_slots("1,7", None)
    (first,) = workers.list_slots("1", None)
    assert workers.list_slots("GPU-bbbb", None)[0].name == first.name
    assert [slot.name for slot in workers.list_slots(None, None)][1] == first.name
    with device_lock.open_lock(first.name) as lock:
        device_lock.take_lock(lock, "worker in /another/clone")
        assert workers.start_workers(workers.list_slots("GPU-bbbb", None)) == []
    assert "has a worker already (worker in /another/clone)" in capsys.readouterr().err
    pair, alone = (
        device_lock.list_visible_devices({"CUDA_VISIBLE_DEVICES": slot.device})
        for slot in (*workers.list_slots("0+1", None), first)
    )  # a worker with two GPUs has another lock, but its stages lock each GPU
    with device_lock.hold_devices("train", pair), device_lock.open_lock(alone[0]) as lock:
        assert device_lock.is_taken(lock)
