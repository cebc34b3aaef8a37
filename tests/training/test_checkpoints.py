"""A checkpoint is complete or absent, whatever happens to its files."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.models.compute import read_runtime
from lockstep.training.checkpoints import Checkpoints, open_checkpoints


def write_checkpoint(checkpoints: Checkpoints, step: int) -> Path:
    """Write a checkpoint and return its folder."""
    partial = checkpoints.get_partial_path(step)
    (partial / "inner").mkdir(parents=True)
    (partial / "weights").write_bytes(bytes([step]) * 100)
    (partial / "inner/state").write_bytes(b"state")
    checkpoints.commit(step)
    return checkpoints.get_path(step)


def test_the_newest_checkpoint_is_found_and_the_oldest_are_removed(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, 1, 2)
    assert checkpoints.find_newest() is None and checkpoints.get_newest_step() == 0
    for step in (9, 10, 100):
        write_checkpoint(checkpoints, step)
    assert checkpoints.find_newest() == checkpoints.get_path(100)
    assert checkpoints.get_newest_step() == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010", "step-000000100"]


@pytest.mark.parametrize("name", ["weights", "inner/state", "manifest.json"])
@pytest.mark.parametrize("damage", ["deleted", "truncated", "flipped", "emptied"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(
    tmp_path: Path, name: str, damage: str, capsys: pytest.CaptureFixture[str]
):
    checkpoints = Checkpoints(tmp_path, 1, 2)
    write_checkpoint(checkpoints, 1)
    file = write_checkpoint(checkpoints, 2) / name
    content = file.read_bytes()
    match damage:
        case "deleted":
            file.unlink()
        case "truncated":
            file.write_bytes(content[:-2])
        case "flipped":
            file.write_bytes(content[:2] + bytes([content[2] ^ 1]) + content[3:])
        case "emptied":
            file.write_bytes(b"")
    assert checkpoints.find_newest() == checkpoints.get_path(1)
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"train: {checkpoints.get_path(2)}: ")
    assert stderr.endswith("; an earlier state is used\n")
    assert stderr.count("\n") == 1


def test_a_checkpoint_with_an_additional_file_is_not_read(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, 1, 1)
    (write_checkpoint(checkpoints, 1) / "more").write_bytes(b"")
    assert checkpoints.find_newest() is None


def test_a_partial_checkpoint_is_not_read(tmp_path: Path):
    with open_checkpoints(tmp_path, "key", read_runtime()) as checkpoints:
        write_checkpoint(checkpoints, 1)
        checkpoints.get_partial_path(2).mkdir()
        (checkpoints.get_partial_path(2) / "weights").write_bytes(b"half")
        assert checkpoints.find_newest() == checkpoints.get_path(1)
    with open_checkpoints(tmp_path, "key", read_runtime()) as checkpoints:
        assert [path.name for path in checkpoints.folder.iterdir()] == ["step-000000001"]
        checkpoints.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_refused_before_the_run(tmp_path: Path):
    Checkpoints(tmp_path, 1, 2).check_space(1000)
    with pytest.raises(UserError, match=r"3 checkpoints of 1000000\.00 GB do not fit into .* GB"):
        Checkpoints(tmp_path, 1, 2).check_space(10**15)


def test_a_second_process_with_the_same_key_waits_and_names_the_first(tmp_path: Path):
    code = (
        "from pathlib import Path; from lockstep.models.compute import read_runtime\n"
        "from lockstep.training.checkpoints import open_checkpoints\n"
        f"with open_checkpoints(Path({str(tmp_path)!r}), 'key', read_runtime()):\n"
        "    print('in', flush=True)"
    )
    with open_checkpoints(tmp_path, "key", read_runtime()):
        other = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert other.stderr is not None
        line = other.stderr.readline()
        assert line == (
            f"train: process {os.getpid()} runs the same training; waiting until it ends\n"
        )
        time.sleep(0.2)
        assert other.poll() is None
    assert other.communicate(timeout=60)[0] == "in\n"
    assert list(tmp_path.glob("*.lock")) == []


def test_the_manifest_is_a_digest_of_every_file(tmp_path: Path):
    folder = write_checkpoint(Checkpoints(tmp_path, 1, 1), 3)
    assert json.loads((folder / "manifest.json").read_text()) == {
        "inner/state": hashlib.sha256(b"state").hexdigest(),
        "weights": hashlib.sha256(bytes([3]) * 100).hexdigest(),
    }
