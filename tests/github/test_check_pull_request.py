"""check_pull_request.py on the merge of real branches, and the comment that it writes."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests import dvc_projects
from tests.conftest import REPOSITORY
from tests.dvc_projects import FILES, commit, run_git, write_files

SCRIPT = REPOSITORY / ".github/scripts/check_pull_request.py"
MAKEFILE = """\
lint:
	@echo all files are formatted
test:
	@printf '\\033[31m```\\033[0m\\nFAILED test_x.py::test_y\\n' && exit 3
"""


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_pull_request", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


script = load_script()


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A clone at the merge of a branch that changed a rate and ran nothing, as GitHub makes it."""
    origin = dvc_projects.create_project(tmp_path / "origin", FILES | {"Makefile": MAKEFILE})
    run_git(origin, "switch", "--quiet", "--create", "branch")
    write_files(origin, {"params.yaml": FILES["params.yaml"].replace("0.5", "0.7")})
    head = commit(origin, "A higher rate")
    run_git(origin, "switch", "--quiet", "main")
    write_files(origin, {"README.md": "Progress on main"})
    commit(origin, "Document")
    run_git(origin, "merge", "--quiet", "--no-ff", "--message", "Merge", "branch")
    event = {"number": 7, "pull_request": {"head": {"sha": head}}}
    write_files(tmp_path, {"event.json": json.dumps(event)})
    return dvc_projects.clone(origin, tmp_path / "clone")


@pytest.mark.slow
def test_a_branch_without_a_run_fails_and_the_comment_says_why(
    merged: Path, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    environment = ["env", f"GITHUB_EVENT_PATH={tmp_path}/event.json",
                   f"GITHUB_STEP_SUMMARY={summary}"]  # fmt: skip
    log = dvc_projects.run(
        merged, *environment, sys.executable, str(SCRIPT), "HEAD^1", "build/review", code=1
    )
    assert "all files are formatted" in log
    assert sorted(file.name for file in (merged / "build/review").iterdir()) == [
        "comment.md", "pull_request.json",
    ]  # fmt: skip
    request = json.loads((merged / "build/review/pull_request.json").read_text())
    assert request == {"number": 7, "head": run_git(merged, "rev-parse", "HEAD^2").strip()}
    comment = (merged / "build/review/comment.md").read_text()
    assert comment.startswith("> [!WARNING]\n> Failed: dvc.lock, ")
    assert "| dvc.lock | **failed** |" in comment
    assert "dvc.lock is out of date: train (params.yaml train modified)" in comment
    assert "| lint | passed |" in comment and "| tests | **failed** |" in comment
    assert "````text\n```\nFAILED test_x.py::test_y\n" in comment
    assert "exit code 2 of <code>make test</code>" in comment
    assert summary.read_text() == comment


def make_outcomes(*codes: int, review: str = "## Ship\n\nIt is better.") -> list[object]:
    """Return outcomes of the checks with these exit codes."""
    return [
        script.Outcome(check, code, review if check.is_review else "output")
        for check, code in zip(script.list_checks("main"), codes, strict=True)
    ]


def test_a_comment_of_passed_checks_begins_with_the_verdict() -> None:
    comment = script.format_comment(make_outcomes(0, 0, 0, 0))
    assert comment.startswith("## Ship\n\nIt is better.\n\n### Checks\n")
    assert "failed" not in comment.lower() and "<details>" not in comment


def test_a_failed_gate_is_announced_and_its_review_is_shown_once() -> None:
    comment = script.format_comment(make_outcomes(0, 1, 0, 0, review="## Do not ship"))
    assert comment.startswith("> [!WARNING]\n> Failed: review and gates.")
    assert comment.count("## Do not ship") == 1 and "<details>" not in comment


def test_the_longest_comment_fits_in_what_github_takes() -> None:
    outcomes = make_outcomes(1, 1, 1, 1, review="x" * 100_000)
    outcomes = [script.Outcome(o.check, 1, o.output + "`" * 5_000) for o in outcomes]
    comment = script.format_comment(outcomes)
    assert len(comment) < 65_000
    assert "The rest is in the log" in comment
