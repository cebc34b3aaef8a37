"""`make review` on real branches, whose results the real evaluate computed."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.conftest import REPOSITORY
from tests.review.review_repository import (
    HOSTILE,
    change_params,
    make_repository,
    review,
    run_command,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("review") / "repository"
    make_repository(root)
    return root


def clone(repository: Path, folder: Path, branch: str, *options: str) -> Path:
    """Clone without the DVC cache."""
    url = f"file://{repository}"
    run_command(folder, "git", "clone", "-q", "-b", branch, *options, url, "clone")
    return folder / "clone"


def check_out(repository: Path, branch: str) -> None:
    run_command(repository, "git", "checkout", "-q", "-f", branch)


def list_rows(comment: str, first_cell: str) -> list[list[str]]:
    """Return the cells of the table rows that begin so."""
    rows = [line.strip("| ").split(" | ") for line in comment.splitlines() if line.startswith("|")]
    return [row for row in rows if row[0].startswith(first_cell)]


def test_a_better_branch_ships_and_its_changes_are_named(repository: Path) -> None:
    check_out(repository, "better")
    result = review(repository, "main")
    assert result.exit_code == 0, result.stderr
    comment = result.stdout
    assert comment.startswith(
        "## Model review: ship\n\n`intent` accuracy (60.0% → 92.0%) got better, and no main metric "
        "got worse. The gate is met.\n"
    )
    main_metric = list_rows(comment, "quantized `intent` accuracy")[0]
    assert main_metric[1:4] == ["60.0%", "92.0%", "+32.0 points"]
    assert main_metric[5:] == ["50", "**better**"]
    assert "- `train.learning_rate`: `1.0` → `2.0`\n" in comment
    assert "- `data/raw/a.csv`: +5 −3 lines\n" in comment
    assert list_rows(comment, "train:") == [
        ["train: `all rows`", "3", "1", "2"],
        ["train: `language en`", "0", "1", "2"],
        ["train: `language zh`", "3", "0", "0"],
        ["train: `task intent`", "3", "1", "2"],
    ]
    assert (
        "- `train`: the outputs are the same bytes; changed: `train.learning_rate`, "
        "`data/prepared/train.jsonl`\n"
    ) in comment
    assert "0 answers of the quantized model got worse, 16 got better.\n" in comment
    assert list_rows(comment, "time of training") == [["time of training", "100 s", "200 s"]]
    assert list_rows(comment, "tokens trained on") == [["tokens trained on", "900", "900"]]


def test_a_worse_branch_does_not_ship_and_fails(repository: Path) -> None:
    check_out(repository, "worse")
    result = review(repository, "main")
    assert result.exit_code == 1, result.stderr
    comment = result.stdout
    assert comment.startswith("## Model review: do not ship\n\nA gate failed: `quantized: intent ")
    assert "| **FAILED** | `quantized: intent accuracy minus that of the previous commit" in comment
    assert "26 answers of the quantized model got worse, 6 got better.\n" in comment
    worse, better = comment.partition("\nWorse:\n")[2].split("\n###")[0].split("\nBetter:\n")
    assert worse.count("; expected and base `") == worse.count("\n- ") == 5
    assert better.count("; expected and this branch `") == better.count("\n- ") == 5
    assert (
        "- `reply` `0000000000000005`: `question 5`; expected and base "
        "`Your order 5 is on its way.`, this branch `no`\n"
    ) in worse


def test_the_example_of_the_documentation_is_the_comment_on_the_worse_branch(
    repository: Path,
) -> None:
    check_out(repository, "worse")
    comment = re.sub(r"\(`[0-9a-f]{7}`\)", "(`1a2b3c4`)", review(repository, "main").stdout)
    page = (REPOSITORY / "docs/pull-requests.md").read_text(encoding="utf-8")
    assert page.partition("````markdown\n")[2].partition("````")[0] == comment


def test_a_difference_by_chance_is_called_so(repository: Path) -> None:
    check_out(repository, "same")
    result = review(repository, "main")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(
        "## Model review: no difference shown\n\nNo main metric of the quantized model changed by "
        "more than chance explains; for `intent` accuracy, a difference of "
    )
    assert list_rows(result.stdout, "quantized `intent` accuracy")[0][-1] == "could be chance"
    assert "\nNo change: params, data, code, environment.\n" in result.stdout


def test_a_fresh_clone_without_cache_has_the_same_metrics_and_verdict(
    repository: Path, tmp_path: Path
) -> None:
    check_out(repository, "better")
    complete = review(repository, "main").stdout
    bare = review(clone(repository, tmp_path, "better"), "origin/main")
    assert bare.exit_code == 0, bare.stderr
    metrics = re.compile(r"### Metrics\n.*?(?=\n###)", re.DOTALL)
    assert metrics.findall(bare.stdout) == metrics.findall(complete)
    assert "¹ not compared" in complete, "the calibration error has no scores of records"
    assert (
        "Questions and texts are missing: `data/predicted/quantized/predictions.jsonl"
        in bare.stdout
    )
    assert "; expected and this branch `refund`, base `cancel`\n" in bare.stdout
    assert "- rows were not compared one by one: `data/prepared/train.jsonl" in bare.stdout
    assert list_rows(bare.stdout, "train:") == [
        ["train: `records`", "20", "22"],
        ["train: `task intent`", "20", "22"],
        ["train: `language en`", "20", "19"],
        ["train: `language zh`", "0", "3"],
    ]


def test_a_shallow_clone_says_what_to_fetch_and_works_after_that(
    repository: Path, tmp_path: Path
) -> None:
    root = clone(repository, tmp_path, "worse", "--depth", "1", "--no-single-branch")
    for base, lack in (("HEAD~1", "not in this"), ("origin/main", "lacks the commit")):
        shallow = review(root, base)
        assert (shallow.exit_code, shallow.stdout) == (2, "")
        assert shallow.stderr.startswith(f"error: {base}: ") and lack in shallow.stderr
        assert len(shallow.stderr.splitlines()) == 1
        command = re.search(r"`(git fetch [^`]*)`", shallow.stderr)
        assert command is not None
    run_command(root, *command[1].split())
    complete = review(root, "origin/main")
    assert complete.exit_code == 1
    assert "- `reply` `0000000000000005`, score 1 → 0\n" in complete.stdout, "no texts, no cache"


@pytest.mark.parametrize("depth", [("--depth", "1"), ()])
def test_a_clone_of_one_branch_says_how_to_fetch_the_base(
    repository: Path, tmp_path: Path, depth: tuple[str, ...]
) -> None:
    root = clone(repository, tmp_path, "worse", *depth, "--single-branch")
    lacking = review(root, "origin/main")
    command = re.search(r"`(git fetch [^`]*)`", lacking.stderr)
    assert lacking.exit_code == 2 and command is not None
    run_command(root, *command[1].split())
    assert "Base: `origin/main`" in review(root, "origin/main").stdout


def test_an_unknown_base_is_an_error_of_one_line(repository: Path) -> None:
    command = (sys.executable, "-m", "lockstep.review", "nowhere")
    result = run_command(repository, *command, check=False)
    assert (result.returncode, result.stderr) == (
        2, "error: nowhere: no such commit; name a branch, a tag or a hash by BASE=…\n",
    )  # fmt: skip


def test_without_scores_of_the_base_metrics_are_compared_by_intervals(
    repository: Path, tmp_path: Path
) -> None:
    root = clone(repository, tmp_path, "main")
    run_command(root, "git", "rm", "-q", "reports/scores.jsonl")
    run_command(root, "git", "commit", "-qm", "As before the scores")
    run_command(root, "git", "checkout", "-q", "-b", "later")
    run_command(root, "git", "checkout", "origin/worse", "--", "reports")
    result = review(root, "main")
    assert result.exit_code == 1, "the whole interval refutes the gate"
    assert "Unpaired, by the intervals of both sides: `" in result.stdout
    assert "it has no reports/scores.jsonl`" in result.stdout
    assert "Results that are not committed were compared: `reports/details.json`" in result.stdout
    unpaired = list_rows(result.stdout, "quantized `intent` accuracy")[0]
    assert unpaired[3] == "−28.0 points ¹"
    assert unpaired[4] != list_rows(review(root, "origin/main").stdout, unpaired[0])[0][4]
    assert "flipped" not in result.stdout


def test_a_base_without_results_leaves_the_gates(repository: Path, tmp_path: Path) -> None:
    root = clone(repository, tmp_path, "main")
    run_command(root, "git", "rm", "-rq", "reports", "dvc.lock")
    run_command(root, "git", "commit", "-qm", "Before the first run")
    run_command(root, "git", "checkout", "origin/better", "--", "reports", "dvc.lock")
    result = review(root)
    assert result.exit_code == 1, "a gate against the previous commit is not met"
    assert "measured `not measured`" in result.stdout.splitlines()[2]
    run_command(root, "git", "rm", "-rqf", "reports")
    nothing = review(root, "HEAD")
    assert nothing.exit_code == 2
    assert nothing.stderr.startswith("error: reports/details.json: not found; run `dvc repro`")


def test_the_base_is_where_the_branch_starts(repository: Path, tmp_path: Path) -> None:
    root = clone(repository, tmp_path, "worse")
    start = run_command(root, "git", "rev-parse", "--short=7", "HEAD~1").stdout.strip()
    run_command(root, "git", "checkout", "-q", "-b", "newer", "origin/main")
    run_command(root, "git", "merge", "-q", "--ff-only", "origin/better")
    run_command(root, "git", "checkout", "-q", "worse")
    comment = review(root, "newer").stdout
    assert f"Base: `newer` (`{start}`), the commit at which this branch starts.\n" in comment
    assert "The base branch has 1 newer commit, not compared here.\n" in comment
    assert review(root).stdout.splitlines()[2:4] == comment.splitlines()[2:4], (
        "the default is the commit before these results"
    )


def test_gates_on_the_size_are_compared_with_the_base(repository: Path, tmp_path: Path) -> None:
    root = clone(repository, tmp_path, "same")
    size = {"suite": "quantize", "metric": "bytes", "variant": "quantized", "threshold": 0}
    details = json.loads((root / "reports/details.json").read_text())
    details["gates"] = [
        {"gate": {**size, "direction": "at_most", "against": "previous"}, "decided": False}
    ]
    metrics = json.loads((root / "reports/metrics.json").read_text())
    metrics["quantize"]["bytes"] += 18
    (root / "reports/details.json").write_text(json.dumps(details))
    (root / "reports/metrics.json").write_text(json.dumps(metrics))
    result = review(root, "origin/main")
    assert result.exit_code == 1
    assert "at most 0` | `+18` |" in result.stdout


@pytest.mark.parametrize(
    ("file", "text", "error"),
    [
        ("dvc.lock", "<<<<<<< HEAD\nstages: {}\n=======\n", "not YAML"),
        ("dvc.lock", "[]", "not a mapping"),
        ("reports/details.json", "{", "not JSON"),
        ("reports/details.json", "[1]", "not a mapping"),
        ("reports/scores.jsonl", '["x"]\n{"task"', "damaged"),
        ("params.yaml", "a: [", "not YAML"),
    ],
)
def test_a_damaged_file_is_an_error_of_one_line(
    repository: Path, file: str, text: str, error: str
) -> None:
    check_out(repository, "worse")
    (repository / file).write_text(text)
    result = review(repository, "main")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {file} of the workspace: {error}")
    assert len(result.stderr.splitlines()) == 1


def test_many_long_changes_stay_a_short_comment(repository: Path) -> None:
    check_out(repository, "worse")
    sources = [{"path": f"{n}.csv", "k" * 300: "`|" * 900} for n in range(300)]
    change_params(repository, lambda values: values["prepare"].update(sources=sources))
    comment = review(repository, "main").stdout
    assert len(comment) < 12_000 and re.search(r"\n- and [56]\d\d more params\n", comment)


def list_tokens(tokens: list[Token]) -> list[Token]:
    return [inner for token in tokens for inner in (token, *list_tokens(token.children or []))]


def test_data_becomes_no_html_link_image_or_mention(repository: Path) -> None:
    check_out(repository, "better")
    change_params(repository, lambda values: values["report"].update(title=HOSTILE))
    comment = review(repository, "main").stdout
    tokens = list_tokens(MarkdownIt("gfm-like", {"linkify": False}).parse(comment))
    assert not [t for t in tokens if t.type in ("html_inline", "html_block", "image", "link_open")]
    texts = [token.content for token in tokens if token.type == "text"]
    assert not [text for text in texts if "@" in text or "http" in text or "<" in text]
    code = " ".join(token.content for token in tokens if token.type == "code_inline")
    assert code.count("@everyone <img src=x onerror=alert(1)>") == 2, "the question and the title"


def test_json_has_all_metrics_gates_and_changes(repository: Path, tmp_path: Path) -> None:
    root = clone(repository, tmp_path, "worse")
    result = review(root, "origin/main", "--json", "--out", "review.json")
    assert (result.exit_code, result.stdout) == (1, "")
    values: dict[str, Any] = json.loads((root / "review.json").read_text("utf-8"))
    assert values["decision"]["word"] == "do not ship" and values["passed"] is False
    accuracy = values["metrics"][0]
    assert (accuracy["variant"], accuracy["suite"], accuracy["word"]) == (
        "quantized", "intent", "worse",
    )  # fmt: skip
    # McNemar's exact test of 20 worse and 6 better answers: 2 × P(X ≤ 6), X ~ B(26, ½)
    assert accuracy["difference"]["p"] == pytest.approx(0.00936, abs=1e-5)
    assert values["params"] == [{"name": "train.learning_rate", "base": "1.0", "this": "3.0"}]
    assert values["gates"][0]["passed"] is False
