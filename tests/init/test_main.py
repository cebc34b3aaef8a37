"""`make init` sets params.yaml up for a file and leaves everything as it was on a mistake."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with the repository's params.yaml and an empty data/raw."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    return tmp_path


def run_init(workspace: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lockstep.init", path],
        cwd=workspace, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
    )  # fmt: skip


def test_a_file_becomes_the_only_source(workspace: Path):
    (workspace / "tickets.csv").write_text(
        "utterance,intent\n" + "where is it?,track\nstop,cancel\n" * 5
    )
    result = run_init(workspace, "tickets.csv")
    assert result.returncode == 0, result.stderr
    assert "tickets.csv: classification, 10 rows inspected" in result.stdout
    assert "2 labels: track 5, cancel 5" in result.stdout
    assert "+    - path: tickets.csv" in result.stdout
    assert (workspace / "data/raw/tickets.csv").read_bytes() == (
        workspace / "tickets.csv"
    ).read_bytes()
    text = (workspace / "params.yaml").read_text()
    values = YAML(typ="safe", pure=True).load(text)
    assert values["prepare"]["sources"] == [
        {
            "path": "tickets.csv",
            "format": "classification",
            "task": "tickets",
            "columns": {"text": "utterance", "label": "intent"},
        }
    ]
    assert values["train"]["objective"] == "sft"
    assert not {"summary_slices", "domains"} & values["evaluate"].keys(), "slices of the sample"
    assert text.count("#") > 40, "the other comments stay"


def test_columns_of_0_and_1_are_labels(workspace: Path):
    (workspace / "a.csv").write_text("id,Tweet,joy,fear\n" + "x7,Good,1,0\nx8,Grr,0,1\n" * 5)
    assert run_init(workspace, "a.csv").returncode == 0
    values = YAML(typ="safe", pure=True).load((workspace / "params.yaml").read_text())
    (source,) = values["prepare"]["sources"]
    assert source["format"] == "multi_label" and source["columns"] == {"text": "Tweet"}
    assert source["label_columns"] == ["joy", "fear"]
    assert values["train"]["objective"] == "classification"


def test_preferences_set_the_objective(workspace: Path):
    (workspace / "data/raw/pairs.jsonl").write_text(
        '{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 3
    )
    assert run_init(workspace, "data/raw/pairs.jsonl").returncode == 0
    values = YAML(typ="safe", pure=True).load((workspace / "params.yaml").read_text())
    assert values["train"]["objective"] == "dpo"
    assert [path.name for path in (workspace / "data/raw").iterdir()] == ["pairs.jsonl"]


def test_a_mistake_changes_nothing(workspace: Path):
    before = (workspace / "params.yaml").read_bytes()
    (workspace / "odd.csv").write_text("a,b\n1,2\n")
    (workspace / "data/rows.csv").write_text("text\na\n")
    (workspace / "text.jsonl").write_text('{"text": "a"}\n')
    (workspace / "data/raw/text.jsonl").write_text("other")
    for name, line in (
        ("odd.csv", "no format fits the columns a, b"),
        ("text.jsonl", "exists"),
        ("absent.csv", "Path 'absent.csv' does not exist; see --help"),
        ("data", "data: contains data/raw; name a folder of data files"),
    ):
        result = run_init(workspace, name)
        assert result.returncode == 2
        assert result.stderr.startswith("error: ") and line in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert (workspace / "params.yaml").read_bytes() == before
    assert not (workspace / "data/raw/odd.csv").exists()


def test_a_folder_becomes_the_only_source(workspace: Path):
    (workspace / "chats.2024").mkdir()
    for name in ("a", "b"):
        (workspace / f"chats.2024/{name}.jsonl").write_text(
            '{"prompt": "a", "completion": "b", "mood": "c"}\n' * 3
        )
    result = run_init(workspace, "chats.2024")
    assert result.returncode == 0, result.stderr
    assert "chats.2024: prompt_completion, 6 rows inspected" in result.stdout
    assert "  columns that nothing reads: mood" in result.stdout
    values = YAML(typ="safe", pure=True).load((workspace / "params.yaml").read_text())
    assert values["prepare"]["sources"] == [
        {"path": "chats.2024/", "format": "prompt_completion", "task": "chats_2024"}
    ]
    assert (workspace / "data/raw/chats.2024/b.jsonl").is_file()
