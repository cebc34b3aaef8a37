"""The stage augment adds records that leak nothing and keep their answers correct."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep import records
from lockstep.records import Record
from tests.conftest import REPOSITORY, write_params


def make_record(question: str, answer: str = "yes") -> Record:
    return Record(
        messages=[
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        task="reply", source="a.csv", origin="a.csv:2",
    )  # fmt: skip


def write_augment_params(folder: Path, *methods: dict[str, Any], **changes: Any) -> None:
    settings = {"methods": [*methods], "max_children": 9, **changes}
    write_params(folder, {"augment": settings})


DELETION = {"method": "deletion", "share": 1.0}
SYNONYMS = {"method": "synonyms", "share": 1.0, "rate": 1.0}
TRAIN = [
    make_record("Refund my order please"),
    make_record("Where is parcel 12345 now", "Parcel 12345 is on its way"),
    make_record("Refund it"),
    make_record("退款多久到账", "三天"),
    make_record("no"),
]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with the inputs of the stage and the method synonyms in params.yaml."""
    (tmp_path / "prepared").mkdir()
    records.write(tmp_path / "prepared" / "train.jsonl", TRAIN)
    records.write(tmp_path / "prepared" / "validation.jsonl", [make_record("Reimburse it!")])
    records.write(tmp_path / "prepared" / "test.jsonl", [make_record("Something else")])
    (tmp_path / "synonyms.tsv").write_text("en\trefund\treimburse\nzh\t退款\t退钱\n", "utf-8")
    write_augment_params(tmp_path, SYNONYMS)
    return tmp_path


def run_augment(workspace: Path, out: str = "augmented") -> tuple[int, list[str]]:
    """Run the stage and return its exit code and the lines on stderr."""
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    process = subprocess.run(
        [sys.executable, "-m", "stages.augment", "prepared", "synonyms.tsv", out],
        cwd=workspace, env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True,
    )  # fmt: skip
    return process.returncode, process.stderr.splitlines()


def list_outputs(workspace: Path) -> list[str]:
    return sorted(p.relative_to(workspace).as_posix() for p in workspace.glob("augmented/**/*"))


def read_train(workspace: Path) -> list[Record]:
    return list(records.read(workspace / "augmented" / "train.jsonl"))


def test_augmented_records_follow_the_training_records(workspace: Path) -> None:
    assert run_augment(workspace) == (0, ["augment: 5 records and 2 augmented ones"])
    assert list_outputs(workspace) == ["augmented/card.json", "augmented/train.jsonl"]
    train = read_train(workspace)
    assert train[:5] == TRAIN
    assert [(record.question, record.answer, record.origin) for record in train[5:]] == [
        ("Reimburse my order please", "yes", f"{TRAIN[0].id}:synonyms"),
        ("退钱多久到账", "三天", f"{TRAIN[3].id}:synonyms"),
    ]
    card = json.loads((workspace / "augmented" / "card.json").read_text())
    assert (card["parents"], card["children"], card["train"]["records"]) == (5, 2, 7)
    assert card["methods"] == {
        "synonyms": {"kept": 2, "near_identical_to_held_out": 1, "unchanged": 2},
    }


def test_deletion_needs_no_dictionary(workspace: Path) -> None:
    write_augment_params(workspace, DELETION)
    (workspace / "synonyms.tsv").write_text("")
    assert run_augment(workspace) == (0, ["augment: 5 records and 3 augmented ones"])
    train = read_train(workspace)
    assert [len(record.question.split()) for record in train[5:7]] == [3, 4]
    assert "12345" in train[6].question
    assert len(train[7].question) == len("退款多久到账") - 1


def test_two_runs_give_the_same_bytes(workspace: Path) -> None:
    write_augment_params(workspace, DELETION, SYNONYMS)
    assert run_augment(workspace, "first")[0] == run_augment(workspace, "second")[0] == 0
    for file in (workspace / "first").iterdir():
        assert file.read_bytes() == (workspace / "second" / file.name).read_bytes(), file.name


def test_an_invalid_dictionary_is_refused_in_one_line(workspace: Path) -> None:
    (workspace / "synonyms.tsv").write_text("en refund reimburse\n")
    line = "error: synonyms.tsv:1: must be language, word and synonyms, tab-separated"
    assert run_augment(workspace) == (2, [line])
    assert list_outputs(workspace) == []


def test_methods_are_limited_to_tasks_and_slices_and_the_mix_sets_shares(workspace: Path) -> None:
    tasks_and_languages = [("intent", "en"), ("intent", "zh"), ("slots", "en"), ("slots", "zh")]
    train = [
        replace(
            make_record(f"Please tell me {n} about it", "no"),
            task=task,
            slices={"language": language},
        )
        for n, (task, language) in enumerate(tasks_and_languages * 5)
    ]
    records.write(workspace / "prepared" / "train.jsonl", train)
    swap = {"method": "swap", "share": 1.0, "tasks": ["intent"], "slices": {"language": ["zh"]}}
    mix = [{"slice": "language", "shares": {"en": 0.25, "zh": 0.75}}]
    write_augment_params(workspace, swap, mix=mix)
    assert run_augment(workspace) == (0, ["augment: 20 records and 5 augmented ones"])
    augmented = read_train(workspace)
    assert {(r.task, r.slices["language"]) for r in augmented[20:]} == {("intent", "zh")}
    chinese = sum(r.weight for r in augmented if r.slices["language"] == "zh")
    assert chinese / sum(r.weight for r in augmented) == pytest.approx(0.75, abs=1e-5)
    card = json.loads((workspace / "augmented" / "card.json").read_text())
    assert set(card["diversity"]) == {"before", "after"}


def test_replay_sets_the_share_of_earlier_rounds_and_the_card_counts_its_rows(
    workspace: Path,
) -> None:
    train = [
        replace(make_record(f"Tell {n} all of it"), source="new.csv" if n < 10 else "old.csv")
        for n in range(60)
    ]
    records.write(workspace / "prepared" / "train.jsonl", train)
    card = workspace / "prepared/card.json"
    card.write_text(json.dumps({"rounds": {"old.csv": 0, "new.csv": 1}}))
    write_augment_params(workspace, DELETION, replay=0.5)
    assert run_augment(workspace)[0] == 0
    augmented = read_train(workspace)
    replayed = json.loads((workspace / "augmented/card.json").read_text())["replay"]
    assert replayed["new"] == {"records": 20, "rows": 20}, "children have the round of their parent"
    assert replayed["old"]["records"] == 100
    weight = sum(record.weight for record in augmented if record.source == "old.csv")
    assert weight == pytest.approx(20)
    card.write_text("{}")
    code, (line,) = run_augment(workspace)
    assert code == 2 and "set round: 1" in line


def test_an_unknown_method_is_refused(workspace: Path) -> None:
    write_augment_params(workspace, {"method": "magic", "share": 1.0})
    code, (line,) = run_augment(workspace)
    assert code == 2 and line.startswith("error: params.yaml: augment.methods.0: ")
