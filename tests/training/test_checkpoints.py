"""Checkpoints are whole or absent, whatever happens to their files."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.models.compute import read_runtime
from lockstep.training import checkpoints
from lockstep.training.checkpoints import Run


def save(run: Run, step: int) -> Path:
    (run.partial(step) / "inner").mkdir(parents=True)
    (run.partial(step) / "weights").write_bytes(bytes([step]) * 100)
    (run.partial(step) / "inner/state").write_bytes(b"state")
    run.finish(step)
    return run.at(step)


def test_the_newest_is_found_and_only_so_many_stay(tmp_path: Path):
    run = Run(tmp_path, 1, 2)
    assert run.newest() is None
    for step in (9, 10, 100):
        save(run, step)
    assert run.newest() == run.at(100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010", "step-000000100"]


@pytest.mark.parametrize("name", ["weights", "inner/state", "manifest.json"])
@pytest.mark.parametrize("damage", ["deleted", "truncated", "flipped", "emptied"])
def test_a_damaged_one_is_named_and_the_one_before_it_is_used(
    tmp_path: Path, name: str, damage: str, capsys: pytest.CaptureFixture[str]
):
    run = Run(tmp_path, 1, 2)
    save(run, 1)
    file = save(run, 2) / name
    whole = file.read_bytes()
    match damage:
        case "deleted":
            file.unlink()
        case "truncated":
            file.write_bytes(whole[:-2])
        case "flipped":
            file.write_bytes(whole[:2] + bytes([whole[2] ^ 1]) + whole[3:])
        case "emptied":
            file.write_bytes(b"")
    assert run.newest() == run.at(1)
    said = capsys.readouterr().err
    assert said.startswith(f"train: {run.at(2)}: ")
    assert said.endswith("; an earlier state is used\n")
    assert said.count("\n") == 1


def test_a_file_too_many_is_damage(tmp_path: Path):
    run = Run(tmp_path, 1, 1)
    (save(run, 1) / "more").write_bytes(b"")
    assert run.newest() is None


def test_what_was_being_written_is_not_read(tmp_path: Path):
    with checkpoints.opened(tmp_path, "key", read_runtime()) as run:
        save(run, 1)
        run.partial(2).mkdir()
        (run.partial(2) / "weights").write_bytes(b"half")
        assert run.newest() == run.at(1)
    with checkpoints.opened(tmp_path, "key", read_runtime()) as run:
        assert [path.name for path in run.folder.iterdir()] == ["step-000000001"]
        run.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_the_run(tmp_path: Path):
    Run(tmp_path, 1, 2).check_space(1000)
    with pytest.raises(UserError, match=r"3 checkpoints of 1000000\.00 GB do not fit into .* GB"):
        Run(tmp_path, 1, 2).check_space(10**15)


def test_a_second_run_of_the_same_waits_and_says_for_whom(tmp_path: Path):
    code = (
        "from pathlib import Path; from lockstep.models.compute import read_runtime\n"
        "from lockstep.training import checkpoints\n"
        f"with checkpoints.opened(Path({str(tmp_path)!r}), 'key', read_runtime()):\n"
        "    print('in', flush=True)"
    )
    with checkpoints.opened(tmp_path, "key", read_runtime()):
        other = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert other.stderr is not None
        line = other.stderr.readline()
        assert line == f"train: process {os.getpid()} trains the same; waiting for its end\n"
        time.sleep(0.2)
        assert other.poll() is None
    assert other.communicate(timeout=60)[0] == "in\n"
    assert list(tmp_path.glob("*.lock")) == []


def test_the_manifest_is_a_digest_of_every_file(tmp_path: Path):
    import hashlib

    folder = save(Run(tmp_path, 1, 1), 3)
    assert json.loads((folder / "manifest.json").read_text()) == {
        "inner/state": hashlib.sha256(b"state").hexdigest(),
        "weights": hashlib.sha256(bytes([3]) * 100).hexdigest(),
    }
