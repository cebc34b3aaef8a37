"""train.sh runs the pipeline of a clone and pushes outputs and results; it needs no GPU."""

from pathlib import Path

import pytest

from lockstep.review.lock_status import find_stale_stages
from tests import dvc_projects
from tests.conftest import REPOSITORY
from tests.dvc_projects import FILES, commit, run_git, write_files

SCRIPT = str(REPOSITORY / ".github/scripts/train.sh")


@pytest.mark.slow
def test_results_become_a_branch_and_outputs_go_to_the_remote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    origin = dvc_projects.create_project(tmp_path / "origin", FILES, repro=False)
    output = dvc_projects.run(origin, "bash", SCRIPT, "results/0", code=2)
    assert output.startswith("error: no default DVC remote")
    storage = (
        f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {tmp_path}/storage\n"
    )
    write_files(origin, {".dvc/config": storage})
    commit(origin, "Add a remote")
    runner = dvc_projects.clone(origin, tmp_path / "runner")
    write_files(runner, {"left by a test": "not part of the results"})

    output = dvc_projects.run(runner, "bash", SCRIPT, "results/1")

    assert output.endswith("train: pushed the results to results/1\n")
    changed = run_git(origin, "diff", "--name-only", "main", "results/1").split()
    assert changed == ["dvc.lock", "reports/metrics.json"]
    clone = dvc_projects.clone(origin, tmp_path / "clone", "results/1")
    assert find_stale_stages(clone) == {}
    with dvc_projects.open_dvc(clone) as repository:
        repository.pull()
    assert (clone / "data/model").read_text() == "0.5abc"

    output = dvc_projects.run(runner, "bash", SCRIPT, "results/2")
    assert output.endswith("train: nothing changed, so there is nothing to push\n")
    assert "results/2" not in run_git(origin, "branch")
