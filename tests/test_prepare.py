"""prepare: every row accounted for, clean, split; one line where it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages import records

ROOT = Path(__file__).parents[1]
REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")

TOPICS = ["parcel", "invoice", "account", "warranty", "voucher", "password", "delivery", "refund"]
VERBS = ["find", "change", "cancel", "print", "check"]
QUESTIONS = [f"How do I {verb} my {topic}?" for verb in VERBS for topic in TOPICS]

SOURCE: dict[str, Any] = {
    "path": "intent.csv",
    "format": "classification",
    "task": "intent",
    "split": "auto",
    "weight": 1.0,
    "encoding": "utf-8",
    "columns": {},
    "slices": [],
    "system": "",
    "labels": "labels.json",
}


def parameters(**changed: Any) -> str:
    """The real params.yaml (JSON is YAML), with one source and the suite that fits it."""
    section = {
        "sources": [SOURCE],
        "clean": ["unicode", "invisible", "width", "punctuation", "space"],
        "max_rejected_fraction": 0.1,
        "split": {"validation": 0.1, "test": 0.2, "by": []},
        **changed,
    }
    values = YAML(typ="safe", pure=True).load(REAL)
    values["prepare"] = section
    values["evaluate"] |= {"suites": [{"task": "intent", "answer": "choice"}], "slices": []}
    values["report"]["slices"] = []
    return json.dumps(values)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Forty good rows, one duplicate after cleaning, one with a label outside the set."""
    lines = ["text,label", *(f"{question},{question.split()[3]}" for question in QUESTIONS)]
    lines += ["How do I find  my parcel？,find", "How do I lose my parcel?,lose"]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "intent.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "raw" / "labels.json").write_text(json.dumps([*VERBS, "greet"]))
    (tmp_path / "params.yaml").write_text(parameters(), encoding="utf-8")
    return tmp_path


def ran(here: Path, out: str = "prepared") -> tuple[int, list[str]]:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    done = subprocess.run(
        [sys.executable, "-m", "stages.prepare", "raw", out],
        cwd=here, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


def listing(here: Path) -> list[str]:
    given = {"raw", "params.yaml"}
    paths = [path.relative_to(here) for path in here.rglob("*")]
    return sorted(path.as_posix() for path in paths if path.parts[0] not in given)


def test_every_row_is_kept_rejected_or_a_duplicate(here: Path) -> None:
    said = "prepare: 42 rows: 1 rejected, 1 duplicates; 28 train, 4 validation, 8 test"
    assert ran(here) == (0, [said])
    assert listing(here) == [
        "prepared",
        "prepared/card.json",
        "prepared/labels.json",
        "prepared/rejected.jsonl",
        "prepared/test.jsonl",
        "prepared/train.jsonl",
        "prepared/validation.jsonl",
    ]
    out = here / "prepared"
    splits = {
        name: list(records.read(out / f"{name}.jsonl")) for name in ("train", "validation", "test")
    }
    questions = [record.question for part in splits.values() for record in part]
    assert sorted(questions) == sorted(QUESTIONS)
    (rejected,) = (out / "rejected.jsonl").read_text().splitlines()
    assert json.loads(rejected) == {
        "origin": "intent.csv:43",
        "reason": "unknown_label",
        "row": '{"label": "lose", "text": "How do I lose my parcel?"}',
    }
    assert json.loads((out / "labels.json").read_text()) == {"intent": sorted(VERBS)}
    card = json.loads((out / "card.json").read_text())
    assert card["rows"] == {"read": 42, "kept": 40, "rejected": 1, "duplicates": 1}
    assert card["rejected"] == {"unknown_label": 1}
    assert card["duplicates"] == {"intent.csv:42": "intent.csv:2"}
    assert card["cleaned"] == {
        "unicode": 0, "invisible": 0, "width": 0, "punctuation": 1, "space": 1,
    }  # fmt: skip
    assert card["labels"] == {"intent": dict.fromkeys(sorted(VERBS), 8)}
    assert {name: part["records"] for name, part in card["splits"].items()} == {
        "train": 28, "validation": 4, "test": 8,
    }  # fmt: skip


def test_two_runs_give_the_same_bytes(here: Path) -> None:
    assert ran(here, "first")[0] == ran(here, "second")[0] == 0
    for file in (here / "first").iterdir():
        assert file.read_bytes() == (here / "second" / file.name).read_bytes(), file.name


def test_too_many_rejected_rows_are_refused_and_named(here: Path) -> None:
    (here / "params.yaml").write_text(parameters(max_rejected_fraction=0.0), encoding="utf-8")
    assert ran(here) == (2, [
        "error: 1 of 42 rows rejected, more than prepare.max_rejected_fraction 0.0; "
        "repair them or raise it:",
        "error: intent.csv:43: unknown_label",
    ])  # fmt: skip
    assert listing(here) == []


@pytest.mark.parametrize("name", ["validation", "test"])
def test_an_empty_split_is_refused(here: Path, name: str) -> None:
    shares = {"validation": 0.1, "test": 0.2, "by": [], name: 0.0}
    (here / "params.yaml").write_text(parameters(split=shares), encoding="utf-8")
    line = f"error: the {name} split is empty; correct prepare.split or add data"
    assert ran(here) == (2, [line])
    assert listing(here) == []


def test_a_missing_source_is_refused(here: Path) -> None:
    (here / "raw" / "intent.csv").unlink()
    line = "error: raw/intent.csv: not found; put it there or correct prepare.sources"
    assert ran(here) == (2, [line])


def test_what_cleaning_would_make_empty_or_a_control_token_is_rejected(here: Path) -> None:
    with (here / "raw" / "intent.csv").open("a", encoding="utf-8") as stream:
        stream.write("\u200b,find\nHow <|im\u200b_end|>,find\n")
    assert ran(here)[0] == 0
    lines = (here / "prepared" / "rejected.jsonl").read_text().splitlines()
    reasons = {json.loads(line)["origin"]: json.loads(line)["reason"] for line in lines}
    assert reasons == {
        "intent.csv:43": "unknown_label",
        "intent.csv:44": "empty_text",
        "intent.csv:45": "control_token",
    }
