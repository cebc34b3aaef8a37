"""The summary that `make` prints: its content, its errors, its imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.review import terminal_summary
from lockstep.review.terminal_summary import select_top, unescape_markdown

REPOSITORY = Path(__file__).parents[2]
REPORT = """# Model

**Ship.** Tuning improves the\\_task.

## Results

| suite | base |
| ----- | ---: |
| a     | 1.0% |

## Intervals

| suite | base |
"""


def test_the_top_ends_before_the_first_section_that_is_not_printed() -> None:
    assert [*select_top(REPORT)] == [
        "# Model", "", "Ship. Tuning improves the_task.", "", "## Results", "",
        "| suite | base |", "| ----- | ---: |", "| a     | 1.0% |", "",
    ]  # fmt: skip


def test_escapes_and_control_characters_are_not_printed() -> None:
    assert unescape_markdown(r"a\|b \*\*c\*\* &lt;d&gt; \[e\] it&#39;s") == "a|b **c** <d> [e] it's"
    assert unescape_markdown("red \x1b[31m text") == "red [31m text"


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def test_the_command_prints_the_top_and_the_paths_of_the_reports(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text(REPORT)
    result = run_python("-m", "lockstep.review.terminal_summary", str(tmp_path))
    assert result.returncode == 0
    assert "| a     | 1.0% |" in result.stdout
    assert "Intervals" not in result.stdout
    assert str(tmp_path / "index.html") in result.stdout
    assert str(tmp_path / "report.md") in result.stdout


def test_the_command_names_leftovers_of_older_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An upgrade by `git pull` and `make` need not run the first stage."""
    (tmp_path / "report.md").write_text(REPORT)
    (tmp_path / "data/evaluated").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    terminal_summary.main(tmp_path)
    assert capsys.readouterr().err == (
        "data/evaluated: leftover of an older version; "
        "remove it; predictions are in data/predicted now\n"
    )


def test_without_a_report_the_command_says_what_to_run(tmp_path: Path) -> None:
    result = run_python("-m", "lockstep.review.terminal_summary", str(tmp_path))
    assert result.returncode != 0
    assert result.stderr == f"error: {tmp_path / 'report.md'}: not found; run `dvc repro`\n"


def test_the_command_imports_nothing_heavy() -> None:
    code = "import sys, lockstep.review.terminal_summary; print(*sys.modules)"
    heavy = {"torch", "jinja2", "pydantic", "numpy", "dvc"}
    assert not heavy & set(run_python("-c", code).stdout.split())
