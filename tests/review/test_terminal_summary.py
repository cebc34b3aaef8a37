"""The table that `make` prints: its content, its errors, its imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.review import terminal_summary
from lockstep.review.terminal_summary import format_table

REPOSITORY = Path(__file__).parents[2]
METRICS = {
    variant: {
        "intent": {"accuracy": value, "macro_f1": 0.0},
        "perplexity": {"overall": 2.5},
        "reply": {"bleu": 10.0, "rouge_l": value},
    }
    for variant, value in {"base": 0.12, "merged": 0.913, "quantized": 1.0}.items()
}


def test_the_table_shows_main_metrics_aligned() -> None:
    assert format_table(METRICS) == [
        "                       base  merged  quantized",
        "intent      accuracy  12.0%   91.3%     100.0%",
        "reply       ROUGE-L   0.120   0.913      1.000",
        "perplexity             2.50    2.50       2.50",
    ]


def test_a_suite_that_only_one_variant_answered_is_shown() -> None:
    metrics = {"base": {"price": {"mean_absolute_error": 2.0}}, "merged": {}, "quantized": {}}
    assert format_table(metrics)[1:] == ["price  mean absolute error  2.00"]


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def test_the_command_prints_the_table_and_the_path_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    result = run_python("-m", "lockstep.review.terminal_summary", str(tmp_path))
    assert result.returncode == 0
    assert "intent      accuracy  12.0%   91.3%     100.0%" in result.stdout
    assert str(tmp_path / "index.html") in result.stdout


def test_the_command_names_leftovers_of_older_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An upgrade by `git pull` and `make` need not run the first stage."""
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "data/evaluated").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    terminal_summary.main(tmp_path)
    assert capsys.readouterr().err == (
        "data/evaluated: leftover of an older version; "
        "remove it; predictions are in data/predicted now\n"
    )


def test_without_metrics_the_command_says_what_to_run(tmp_path: Path) -> None:
    result = run_python("-m", "lockstep.review.terminal_summary", str(tmp_path))
    assert result.returncode != 0
    assert result.stderr == f"error: {tmp_path / 'metrics.json'}: not found; run `dvc repro`\n"


def test_the_command_imports_nothing_heavy() -> None:
    code = "import sys, lockstep.review.terminal_summary; print(*sys.modules)"
    heavy = {"torch", "jinja2", "pydantic", "numpy", "dvc"}
    assert not heavy & set(run_python("-c", code).stdout.split())
