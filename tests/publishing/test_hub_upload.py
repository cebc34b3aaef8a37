"""Uploads to a local server: one commit, continued after a kill, private, and no token anywhere."""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from dvc.repo import Repo
from huggingface_hub import constants

from tests.conftest import REPOSITORY
from tests.hub_server import TOKEN, make_environment
from tests.hub_uploads import PART_BYTES, UploadHub
from tests.publishing.conftest import run_git

REPO = "team/tuned"
SHARDS = {
    "model-00001-of-00002.safetensors": b"1" * (PART_BYTES + 1000),
    "model-00002-of-00002.safetensors": b"2" * 1000,
}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in SHARDS.items()}
FIRST, SECOND = DIGESTS.values()


@pytest.fixture(scope="module")
def finished_shards(finished_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished clone with two large files in the quantized folder, all committed."""
    root = shutil.copytree(finished_clone, tmp_path_factory.mktemp("shards") / "clone")
    (root / "data/quantized/model.safetensors").unlink()
    for name, content in SHARDS.items():
        (root / "data/quantized" / name).write_bytes(content)
    with contextlib.chdir(root):
        Repo().commit(force=True)
    run_git(root, "commit", "--quiet", "-am", "Quantize")
    return root


@pytest.fixture
def shards(finished_shards: Path, clone: Path) -> Path:
    """The clone, which is the working directory, with the files of `finished_shards`."""
    shutil.rmtree(clone)
    shutil.copytree(finished_shards, clone)
    os.chdir(clone)
    return clone


@pytest.fixture
def upload(
    shards: Path, export: Callable[..., Result], hub: UploadHub, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Upload the quantized folder within this process."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return lambda *options: export("hub", "--repository", REPO, *options)


def start_upload(root: Path, hub: UploadHub) -> subprocess.Popen[str]:
    environment = make_environment(hub.url, root / "home")
    return subprocess.Popen(
        [sys.executable, "-m", "lockstep.publishing", "hub", "--repository", REPO, "--go"],
        cwd=root,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_upload_continues_and_ends_in_one_commit(
    shards: Path, hub: UploadHub, upload: Callable[..., Result]
) -> None:
    hub.stalls_at = SECOND
    process = start_upload(shards, hub)
    assert hub.stalled.wait(60)
    process.send_signal(signal.SIGKILL)
    killed = process.communicate()
    hub.release.set()
    assert hub.files == {} and hub.messages == [], "nothing is visible before the commit"
    assert hub.puts == [FIRST] * 2, "in two parts"
    result = upload("--go")
    assert result.exit_code == 0, result.output
    assert hub.puts == [FIRST] * 2 + [SECOND]
    commit = run_git(shards, "rev-parse", "HEAD")
    assert hub.messages == [f"Upload quantized model of commit {commit[:12]}"]
    assert result.stdout.endswith(f"{hub.url}/{REPO}/commit/{'c0ffee' * 6}c0ff\n")
    folder = shards / "data/quantized"
    for name in {path.name for path in folder.iterdir()} - {"quantize.json"}:
        assert hub.files[name] == (folder / name).read_bytes()
    assert "quantize.json" not in hub.files
    assert f"| commit | `{commit.strip()}` |" in hub.files["README.md"].decode()
    assert hub.private
    assert f"Bearer {TOKEN}" in hub.tokens
    written = [path.read_bytes() for path in shards.rglob("*") if path.is_file()]
    for content in (
        *written,
        *hub.files.values(),
        *hub.bodies,
        *map(str.encode, (*killed, result.output)),
    ):
        assert TOKEN.encode() not in content


def test_without_go_the_hub_is_not_asked(upload: Callable[..., Result], hub: UploadHub) -> None:
    result = upload()
    assert result.exit_code == 0
    assert result.stderr.endswith(f"GO=1 writes these files to {REPO}\n")
    assert hub.bodies == [] and hub.repository is None


def test_a_repository_is_public_only_on_request(
    upload: Callable[..., Result], hub: UploadHub
) -> None:
    result = upload("--public", "--go")
    assert result.exit_code == 0, result.output
    assert not hub.private
    sent = len(hub.puts)
    result = upload("--go")
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: {REPO}: exists and is public; agree by PRIVATE=0, or name another by REPO=\n"
    )
    assert len(hub.puts) == sent


def test_files_of_an_earlier_upload_are_named(
    upload: Callable[..., Result], hub: UploadHub
) -> None:
    hub.repository, hub.private = REPO, True
    hub.files = {".gitattributes": b"", "model.safetensors": b"old"}
    result = upload("--go")
    assert f"{REPO}: not part of this export: model.safetensors\n" in result.stderr


@pytest.mark.parametrize(
    ("token", "refused", "reason"),
    [
        ("hf_other", set(), "the hub refuses HF_TOKEN (403); set it to a token that may write"),
        (TOKEN, {SECOND}, "answered 400; run again, finished files are kept"),
    ],
)
def test_a_refusal_is_one_line_without_the_token(
    token: str, refused: set[str], reason: str, upload: Callable[..., Result], hub: UploadHub
) -> None:
    hub.token, hub.refused = token, refused
    result = upload("--go")
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {REPO}: ") and reason in line
    assert TOKEN not in result.output
    assert hub.files == {}


def test_no_server_is_a_line_too(
    upload: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    result = upload("--go")
    assert result.exit_code == 2
    assert "no connection to http://127.0.0.1:9; check the network or HF_ENDPOINT" in result.stderr


def test_a_card_that_the_hub_refuses_stops_the_upload(
    upload: Callable[..., Result], hub: UploadHub, shards: Path
) -> None:
    card = shards / "reports/model-card.md"
    card.write_text(card.read_text().replace("tags: [sft, lora]", "tags: [sft, 16]"))
    Repo().commit(force=True)
    run_git(shards, "commit", "--quiet", "-am", "Change the card")
    result = upload("--go")
    assert result.exit_code == 2
    assert "README.md: the hub refuses it: " in result.stderr
    assert '\\"tags\\" must be an array of strings' in result.stderr
    assert hub.repository is None
