"""augment: children beside their parents, none near a held-out record, each answer still right."""

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

ROOT = Path(__file__).parents[2]
REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")


def row(question: str, answer: str = "yes") -> Record:
    return Record(
        messages=[
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        task="reply", source="a.csv", origin="a.csv:2",
    )  # fmt: skip


def method(name: str, share: float, rate: float, **more: Any) -> dict[str, Any]:
    return {"method": name, "share": share, "rate": rate, "tasks": [], "slices": {}, **more}


def parameters(*methods: dict[str, Any], **changed: Any) -> str:
    section = {"methods": methods, "max_children": 9, "similarity": 0.8, "mix": [], **changed}
    before, rest = REAL.split("\naugment:", 1)
    return f"{before}\naugment: {json.dumps(section)}\ntrain:" + rest.split("\ntrain:", 1)[1]


DELETION = method("deletion", 1.0, 0.05)
SYNONYMS = method("synonyms", 1.0, 1.0)
TRAIN = [
    row("Refund my order please"),
    row("Where is parcel 12345 now", "Parcel 12345 is on its way"),
    row("Refund it"),
    row("退款多久到账", "三天"),
    row("no"),
]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "prepared").mkdir()
    records.write(tmp_path / "prepared" / "train.jsonl", TRAIN)
    records.write(tmp_path / "prepared" / "validation.jsonl", [row("Reimburse it!")])
    records.write(tmp_path / "prepared" / "test.jsonl", [row("Something else")])
    (tmp_path / "synonyms.tsv").write_text("en\trefund\treimburse\nzh\t退款\t退钱\n", "utf-8")
    (tmp_path / "params.yaml").write_text(parameters(SYNONYMS), encoding="utf-8")
    return tmp_path


def ran(here: Path, out: str = "augmented") -> tuple[int, list[str]]:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    done = subprocess.run(
        [sys.executable, "-m", "stages.augment", "prepared", "synonyms.tsv", out],
        cwd=here, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


def listing(here: Path) -> list[str]:
    return sorted(p.relative_to(here).as_posix() for p in (here / "augmented").rglob("*"))


def test_children_stand_behind_their_parents(here: Path) -> None:
    assert ran(here) == (0, ["augment: 5 records and 2 new phrasings"])
    assert listing(here) == ["augmented/card.json", "augmented/train.jsonl"]
    rows = list(records.read(here / "augmented" / "train.jsonl"))
    assert rows[:5] == TRAIN
    assert [(child.question, child.answer, child.origin) for child in rows[5:]] == [
        ("Reimburse my order please", "yes", f"{TRAIN[0].id}:synonyms"),
        ("退钱多久到账", "三天", f"{TRAIN[3].id}:synonyms"),
    ]
    card = json.loads((here / "augmented" / "card.json").read_text())
    assert (card["parents"], card["children"], card["train"]["records"]) == (5, 2, 7)
    assert card["methods"] == {
        "synonyms": {"kept": 2, "near_identical_to_held_out": 1, "unchanged": 2},
    }


def test_deletion_needs_no_dictionary(here: Path) -> None:
    (here / "params.yaml").write_text(parameters(DELETION), encoding="utf-8")
    (here / "synonyms.tsv").write_text("")
    assert ran(here) == (0, ["augment: 5 records and 3 new phrasings"])
    rows = list(records.read(here / "augmented" / "train.jsonl"))
    assert [len(child.question.split()) for child in rows[5:7]] == [3, 4]
    assert "12345" in rows[6].question
    assert len(rows[7].question) == len("退款多久到账") - 1


def test_two_runs_give_the_same_bytes(here: Path) -> None:
    (here / "params.yaml").write_text(parameters(DELETION, SYNONYMS), encoding="utf-8")
    assert ran(here, "first")[0] == ran(here, "second")[0] == 0
    for file in (here / "first").iterdir():
        assert file.read_bytes() == (here / "second" / file.name).read_bytes(), file.name


def test_a_bad_dictionary_is_refused_in_one_line(here: Path) -> None:
    (here / "synonyms.tsv").write_text("en refund reimburse\n")
    line = "error: synonyms.tsv:1: must be language, word and synonyms, tab-separated"
    assert ran(here) == (2, [line])
    assert listing(here) == []


def test_methods_keep_to_their_tasks_and_slices_and_the_mix_to_its_shares(here: Path) -> None:
    rows = [
        replace(row(f"Please tell me {n} about it", "no"), task=task, slices={"language": language})
        for n, (task, language) in enumerate(
            [("intent", "en"), ("intent", "zh"), ("slots", "en"), ("slots", "zh")] * 5
        )
    ]
    records.write(here / "prepared" / "train.jsonl", rows)
    swap = method("swap", 1.0, 0.1, tasks=["intent"], slices={"language": ["zh"]})
    mix = [{"slice": "language", "shares": {"en": 0.25, "zh": 0.75}}]
    (here / "params.yaml").write_text(parameters(swap, mix=mix), encoding="utf-8")
    assert ran(here) == (0, ["augment: 20 records and 5 new phrasings"])
    train = list(records.read(here / "augmented" / "train.jsonl"))
    assert {(r.task, r.slices["language"]) for r in train[20:]} == {("intent", "zh")}
    chinese = sum(r.weight for r in train if r.slices["language"] == "zh")
    assert chinese / sum(r.weight for r in train) == pytest.approx(0.75, abs=1e-5)
    card = json.loads((here / "augmented" / "card.json").read_text())
    assert set(card["diversity"]) == {"before", "after"}


def test_a_method_that_is_none_is_refused(here: Path) -> None:
    (here / "params.yaml").write_text(parameters(method("magic", 1.0, 0.1)), encoding="utf-8")
    code, (line,) = ran(here)
    assert code == 2 and line.startswith("error: params.yaml: augment.methods.0: ")
