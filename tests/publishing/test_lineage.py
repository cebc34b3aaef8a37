"""Lineage: the commit and the hashes that git, DVC and sha256sum give."""

import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from lockstep.hub.base_params import BaseParams
from lockstep.publishing.lineage import list_stale_paths, read_lineage
from tests.publishing.conftest import run_git

MERGED = Path("data/merged")


def read_hash(path: str) -> str:
    """Return the MD5 that DVC computes of a folder, an output or a dependency."""
    stages = Repo().index.stages
    found = (part for stage in stages for part in (*stage.outs, *stage.deps))
    part = next(part for part in found if str(part) == path)
    return str(part.get_hash().value).removesuffix(".dir")


def test_the_hashes_are_those_of_git_and_dvc(clone: Path) -> None:
    lineage = read_lineage(MERGED, BaseParams(source="starter"))
    assert lineage.commit == run_git(clone, "rev-parse", "HEAD").strip()
    assert lineage.changes == []
    params = subprocess.check_output(["sha256sum", "params.yaml"], text=True).split()[0]
    assert dict(lineage.rows) == {
        "base": f"starter model of the repository, MD5 of its folder {read_hash('data/base')}",
        "raw data": f"`data/raw`, MD5 {read_hash('data/raw')}",
        "training, validation and test records": (
            f"`data/prepared`, MD5 {read_hash('data/prepared')}"
        ),
        "this model": f"`data/merged`, MD5 {read_hash('data/merged')}",
        "parameters": f"`params.yaml`, SHA-256 {params}",
    }


@pytest.mark.parametrize(
    ("base", "text"),
    [
        (
            BaseParams(source="hub", id="Qwen/Qwen3-0.6B", revision="0123456789" * 4),
            f"Qwen/Qwen3-0.6B, revision `{'0123456789' * 4}`, MD5 of its folder ",
        ),
        (BaseParams(source="path", path="/home/anna/my_base/"), "local model `my_base`, MD5 "),
    ],
)
def test_the_base_is_named_without_the_folders_of_this_machine(
    base: BaseParams, text: str, clone: Path
) -> None:
    (name, value), *_ = read_lineage(MERGED, base).rows
    assert name == "base" and value.startswith(text)


def test_changed_and_new_files_are_listed(clone: Path) -> None:
    (clone / "params.yaml").write_text("# changed\n" + (clone / "params.yaml").read_text())
    (clone / "data/raw/more.csv").write_text("text\n")
    (clone / "notes.txt").write_text("not part of the pipeline")
    lineage = read_lineage(MERGED, BaseParams(source="starter"))
    assert lineage.changes == ["params.yaml", "data/raw/more.csv"]
    assert sorted(set(list_stale_paths())) == ["data/raw"]


def test_outputs_that_are_those_of_the_lock_are_not_stale(clone: Path) -> None:
    assert [*list_stale_paths()] == []
