"""Whether dvc.lock is current is decided in clones that have neither a cache nor a remote."""

import sys
from pathlib import Path

import pytest

from lockstep.review.lock_status import describe_lock, find_stale_stages
from tests import dvc_projects
from tests.dvc_projects import FILES, commit, write_files


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dvc_projects.create_project(tmp_path_factory.mktemp("projects") / "origin")


@pytest.fixture
def fresh(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which no stage has run."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = dvc_projects.clone(origin, tmp_path / "clone")
    assert not (root / "data/prepared").exists() and not (root / ".dvc/cache").exists()
    return root


@pytest.mark.slow
def test_a_fresh_clone_of_results_is_current(fresh: Path) -> None:
    assert find_stale_stages(fresh) == {}
    assert describe_lock({}) == "dvc.lock matches dvc.yaml, params, code and data"


@pytest.mark.slow
def test_changed_data_code_params_and_metrics_are_named_by_stage(fresh: Path) -> None:
    write_files(fresh, {
        "data/raw/rows.csv": "b\na\nd\n",
        "scripts/train.py": FILES["scripts/train.py"] + "# changed\n",
        "params.yaml": FILES["params.yaml"].replace("0.5", "0.7"),
        "reports/metrics.json": '{"merged": {"intent": {"accuracy": 0.99}}}',
    })  # fmt: skip
    commit(fresh, "Change without a run")
    stale = find_stale_stages(fresh)
    assert stale == {
        "prepare": ["data/raw modified"],
        "train": [
            "scripts/train.py modified",
            "params.yaml train modified",
            "reports/metrics.json modified",
        ],
    }
    assert describe_lock(stale).endswith(
        "run `dvc repro`, then commit dvc.lock and reports/ together"
    )


@pytest.mark.slow
def test_deleted_inputs_and_reports_make_the_lock_stale_though_dvc_allows_them_missing(
    fresh: Path,
) -> None:
    (fresh / "scripts/prepare.py").unlink()
    (fresh / "reports/metrics.json").unlink()
    commit(fresh, "Delete")
    assert "up to date" in dvc_projects.run_dvc(fresh, "repro", "--allow-missing", "--dry")
    assert find_stale_stages(fresh) == {
        "prepare": ["scripts/prepare.py deleted"],
        "train": ["reports/metrics.json deleted"],
    }


@pytest.mark.slow
def test_a_lock_whose_stages_did_not_run_together_is_stale(fresh: Path) -> None:
    """The model was trained on other records than those that `prepare` wrote."""
    lock = (fresh / "dvc.lock").read_text()
    before, train = lock.split("\n  train:\n")
    digest = train.partition("path: data/prepared\n")[2].partition("md5: ")[2].partition(".dir")[0]
    train = train.replace(digest, "0" * 31 + "1")
    write_files(fresh, {"dvc.lock": f"{before}\n  train:\n{train}"})
    assert "train" in find_stale_stages(fresh)


@pytest.mark.slow
def test_outputs_of_another_commit_are_told_from_a_stale_lock(fresh: Path) -> None:
    write_files(fresh, {"data/prepared/train.csv": "x"})
    reason = "data/prepared is not the one of dvc.lock, `dvc checkout` restores it"
    assert find_stale_stages(fresh) == {"train": [reason]}


@pytest.mark.slow
def test_the_command_says_what_to_do(fresh: Path) -> None:
    command = (sys.executable, "-m", "lockstep.review.lock_status")
    (fresh / "dvc.lock").unlink()
    output = dvc_projects.run(fresh, *command, code=2)
    assert output == "error: dvc.lock is missing; run `dvc repro`, or restore it from git\n"
    write_files(fresh, {"dvc.lock": "<<<<<<< HEAD\n"})
    output = dvc_projects.run(fresh, *command, code=2)
    assert "dvc.lock" in output and "Traceback" not in output
