"""A small clone whose pipeline has run, and the command on it."""

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo

from lockstep.publishing.__main__ import main
from tests.conftest import REPOSITORY
from tests.hub_uploads import UploadHub

DVC_YAML = """
stages:
  base: {cmd: "false", outs: [data/base]}
  prepare: {cmd: "false", deps: [data/raw], outs: [data/prepared]}
  merge: {cmd: "false", deps: [data/base], outs: [data/merged]}
  quantize: {cmd: "false", deps: [data/merged], params: [quantize], outs: [data/quantized]}
  report:
    cmd: "false"
    deps: [data/prepared, data/quantized]
    outs: [reports/model-card.md: {cache: false}]
"""
LICENCES = {"intent.csv": "CC0", "replies.jsonl": ""}


def run_git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="session")
def finished_clone(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A clone with the outputs of all stages, committed in git and DVC."""
    root = tmp_path_factory.mktemp("finished") / "clone"
    root.mkdir()
    for name in ("params.yaml", "reports/details.json", "reports/model-card.md"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    for name in ("base", "merged", "quantized"):
        shutil.copytree(tiny_model, root / "data" / name)
    for folder, summary in (("merged", "merge.json"), ("quantized", "quantize.json")):
        (root / "data" / folder / summary).write_text("{}")
    for folder in ("prepared", "raw"):
        (root / "data" / folder).mkdir()
    (root / "data/prepared/card.json").write_text(json.dumps({"licences": LICENCES}))
    (root / "data/raw/intent.csv").write_text("text,label\n")
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / ".gitignore").write_text("/data/*/\n!/data/raw/\n/build/\n")
    run_git(root, "init", "--quiet")
    with contextlib.chdir(root):
        Repo.init().commit(force=True)
    run_git(root, "add", ".")
    run_git(root, "commit", "--quiet", "-m", "Run the pipeline")
    return root


@pytest.fixture
def clone(finished_clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the clone, which is the working directory."""
    root = shutil.copytree(finished_clone, tmp_path / "clone")
    monkeypatch.chdir(root)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return root


@pytest.fixture
def export(clone: Path) -> Callable[..., Result]:
    """Run the command in the clone within this process."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return run


@pytest.fixture
def hub() -> Iterator[UploadHub]:
    server = UploadHub()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
