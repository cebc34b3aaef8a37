"""Run DVC's three diffs between two commits that have the metrics, params and plots of dvc.yaml."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep.predictions import VARIANTS
from lockstep.statistics.plot_tables import build_plot_tables
from tests import dvc_projects
from tests.conftest import REPOSITORY, change_params
from tests.dvc_projects import run_dvc, write_files

PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load(REPOSITORY / "dvc.yaml")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def list_run_files(accuracy: float, seconds: float) -> dict[str, str]:
    """Return the files that a run writes below reports/."""
    overall = {"accuracy": accuracy, "macro_f1": accuracy}
    suites = {"intent": {"overall": overall, "confusion": {"track": {"track": 9, "cancel": 1}}}}
    metrics = {
        "merged": {"intent": {"accuracy": accuracy, "macro_f1": 0.5}},
        "train": {"loss": accuracy / 10},
    }
    log = [{"step": step, "loss": 1 / step, "validation_loss": accuracy} for step in (10, 20)]
    content: dict[str, object] = {"metrics.json": metrics, "details.json": suites}
    for stage in PIPELINE["stages"]:
        content[f"timings/{stage}.json"] = {"seconds": seconds, "peak_mb": seconds}
        content[f"provenance/{stage}.json"] = {"machine": {"cores": seconds}}
    tables = build_plot_tables(dict.fromkeys(VARIANTS, suites), log)
    plots = {f"plots/{name}": table for name, table in tables.items()}
    texts = {name: json.dumps(value) for name, value in content.items()} | plots
    return {f"reports/{name}": text for name, text in texts.items()}


def list_params(**changes: Any) -> dict[str, str]:
    """Return params.yaml with changes by dotted path."""
    values = YAML(typ="safe", pure=True).load(REPOSITORY / "params.yaml")
    return {"params.yaml": json.dumps(change_params(values, changes))}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits: the second has other metrics, one other parameter and other timings."""
    listed = {key: PIPELINE[key] for key in ("metrics", "plots")} | {"params": ["params.yaml"]}
    files = {"dvc.yaml": json.dumps(listed)} | list_params() | list_run_files(0.8, seconds=10)
    root = tmp_path_factory.mktemp("diffs") / "project"
    dvc_projects.create_project(root, files, repro=False)
    shutil.copytree(REPOSITORY / ".dvc/plots", root / ".dvc/plots")
    for name in ("config", "plots.html"):
        shutil.copy(REPOSITORY / ".dvc" / name, root / ".dvc")
    write_files(root, list_params(**{"train.learning_rate": 0.25}))
    write_files(root, list_run_files(0.9, seconds=20))
    dvc_projects.commit(root, "Another run")
    return root


def parse_table(output: str) -> list[list[str]]:
    """Return the cells of the rows of a table in Markdown."""
    rows = [line for line in output.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


@pytest.mark.slow
def test_metrics_diff_shows_what_changed_in_quality_and_no_timings(project: Path) -> None:
    output = run_dvc(project, "metrics", "diff", "--md", "HEAD~1", "HEAD")
    assert parse_table(output) == [
        ["reports/metrics.json", "merged.intent.accuracy", "0.8", "0.9", "0.1"],
        ["reports/metrics.json", "train.loss", "0.08", "0.09", "0.01"],
    ]


@pytest.mark.slow
def test_params_diff_shows_the_one_value_that_changed(project: Path) -> None:
    rate = YAML(typ="safe", pure=True).load(REPOSITORY / "params.yaml")["train"]["learning_rate"]
    output = run_dvc(project, "params", "diff", "--md", "HEAD~1", "HEAD")
    ((path, name, before, after),) = parse_table(output)
    assert (path, name, float(before), after) == (
        "params.yaml", "train.learning_rate", rate, "0.25"
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(project: Path) -> Path:
    """The page that `dvc plots diff` writes."""
    run_dvc(project, "plots", "diff", "--out", "build", "HEAD~1", "HEAD")
    return project / "build/index.html"


@pytest.mark.slow
def test_plots_diff_compares_the_main_metrics_of_both_commits(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for title in (
        "Training loss", "Validation loss", "Main metric of each suite", "Confusion of the merged"
    ):  # fmt: skip
        assert title in text
    assert '"suite_metric": "intent: accuracy"' in text and "macro_f1" not in text
    assert text.count('"value": "0.9"') == text.count('"value": "0.8"') == len(VARIANTS)


@pytest.mark.slow
def test_plots_are_drawn_without_a_network(page: Path, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        pytest.skip("no chromium is installed: bash .ci/install_test_tools")
    process = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP * ~NOTFOUND",
         "--virtual-time-budget=5000", "--enable-logging=stderr", page.as_uri()],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert process.stdout.count("<canvas") == len(PIPELINE["plots"]) == 4
    messages = [line for line in process.stderr.splitlines() if "CONSOLE" in line]
    assert not [line for line in messages if "WARN Dropping" not in line]
    assert "default-src 'none'" in page.read_text(encoding="utf-8")
