"""Outputs that one clone pushed are used by another one, which runs nothing again."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def assert_nothing_runs_again(clone: Any) -> None:
    """Pull everything, or only what is missing; no stage may run."""
    clone.dvc("repro", "--pull", "--allow-missing")
    assert clone.list_runs() == ["first", "second"]
    clone.dvc("pull")
    assert (clone.root / "second.txt").read_text() == "one\nrate: 1\n"
    clone.dvc("repro", "--pull", "--allow-missing")
    assert clone.list_runs() == ["first", "second"]
    assert clone.git("status", "--porcelain") == ""


def test_a_second_clone_runs_nothing_with_a_local_remote(
    make_shared: Callable[[str], Any], tmp_path: Path
):
    assert_nothing_runs_again(make_shared(f"    url = {tmp_path}/storage\n"))


def test_an_experiment_runs_the_changed_stage_alone_and_reaches_other_clones(
    make_shared: Callable[[str], Any], clone_origin: Callable[[str], Any], tmp_path: Path
):
    """cluster/experiment.sh in a clone without data, then another clone gets its result.

    The git remote is wrong at first; the second run sends the result and computes nothing.
    """
    clone = make_shared(f"    url = {tmp_path}/storage\n")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "cluster/experiment.sh", "faster", "-S", "rate=2"]
    broken = subprocess.run(
        command, cwd=clone.root, env={**environment, "GIT_REMOTE": "gone"}, capture_output=True
    )
    assert broken.returncode != 0
    assert clone.list_runs() == ["first", "second", "second"]
    again = subprocess.run(
        command, cwd=clone.root, env=environment, check=True, capture_output=True, text=True
    )
    assert "experiment faster is there already: only its results are sent" in again.stderr
    assert clone.list_runs() == ["first", "second", "second"]
    other = clone_origin("third")
    other.dvc("exp", "pull", "origin", "faster")
    other.dvc("exp", "apply", "faster")
    assert (other.root / "second.txt").read_text() == "one\nrate: 2\n"
    other.dvc("repro")
    assert other.list_runs() == ["first", "second", "second"]


@pytest.fixture
def s3_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of moto's S3 server with the bucket `models`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    with (tmp_path / "moto.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        create_bucket(f"{address}/models")
        yield address
    finally:
        process.kill()
        process.wait()


def create_bucket(url: str) -> None:
    """Create the bucket as soon as the server answers."""
    for _ in range(300):
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="PUT"))  # noqa: S310 - our own server
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise TimeoutError(url)


@pytest.mark.skipif(
    not (importlib.util.find_spec("dvc_s3") and importlib.util.find_spec("moto")),
    reason="needs the packages dvc-s3 and moto[server]",
)
def test_a_second_clone_runs_nothing_with_an_s3_remote(
    make_shared: Callable[[str], Any], s3_server: str
):
    remote = f"    url = s3://models/lockstep\n    endpointurl = {s3_server}\n"
    assert_nothing_runs_again(make_shared(remote))
