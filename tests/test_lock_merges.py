"""Merge branches that both changed dvc.lock, by the steps that docs/pull-requests.md gives."""

import json
from pathlib import Path

import pytest

from lockstep.review.lock_status import find_stale_stages
from tests import dvc_projects
from tests.conftest import REPOSITORY
from tests.dvc_projects import FILES, commit, run_git, write_files

RATE = {"params.yaml": FILES["params.yaml"].replace("0.5", "0.7")}
ROWS = {"data/raw/rows.csv": "b\na\nc\nd\ne\n"}


def read_accuracy(root: Path) -> float:
    metrics = json.loads((root / "reports/metrics.json").read_text())
    return float(metrics["merged"]["intent"]["accuracy"])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the branches `rows` and `rate`; each changed an input and ran."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = tmp_path / "project"
    attributes = (REPOSITORY / ".gitattributes").read_text()
    dvc_projects.create_project(root, FILES | {".gitattributes": attributes})
    for name, files in {"rows": ROWS, "rate": RATE}.items():
        run_git(root, "switch", "--quiet", "--create", name, "main")
        write_files(root, files)
        dvc_projects.reproduce(root)
        commit(root, f"Change the {name}")
    return root


def list_steps() -> list[list[str]]:
    """Return the commands of docs/pull-requests.md for two branches that changed dvc.lock."""
    page = (REPOSITORY / "docs/pull-requests.md").read_text(encoding="utf-8")
    section = page.partition("## Two branches that both changed dvc.lock\n")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    return [line.partition("#")[0].split() for line in block.splitlines()]


@pytest.mark.slow
def test_the_documented_steps_give_the_results_of_both_branches(project: Path) -> None:
    merge, *steps = list_steps()
    assert merge == ["git", "merge", "origin/main"]
    output = run_git(project, "merge", "rows", code=1)
    assert "dvc.lock" in output and "CONFLICT" in output
    run_git(project, "checkout", "--theirs", "dvc.lock", "reports")  # without a run
    assert "params.yaml train modified" in find_stale_stages(project)["train"]
    for step in steps:
        dvc_projects.run(project, *step)
    assert run_git(project, "status", "--porcelain") == ""
    assert run_git(project, "log", "-1", "--format=%P").count(" ") == 1, "a merge commit"
    assert find_stale_stages(project) == {}
    assert read_accuracy(project) == pytest.approx(0.7 + 5 / 100)  # the rate of one, rows of both
