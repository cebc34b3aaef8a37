"""augment: children beside their parents, none near a held-out record, each answer still right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages import augment, records
from stages.records import Record

ROOT = Path(__file__).parents[1]
REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")


def row(question: str, answer: str = "yes") -> Record:
    return Record(
        messages=[
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        task="reply", source="a.csv", origin="a.csv:2",
    )  # fmt: skip


def parameters(deletion: float, synonyms: float) -> str:
    section = {
        "deletion": {"share": deletion, "rate": 0.05},
        "synonyms": {"share": synonyms, "rate": 1.0},
    }
    before, rest = REAL.split("\naugment:", 1)
    return f"{before}\naugment: {json.dumps(section)}\ntrain:" + rest.split("\ntrain:", 1)[1]


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
    (tmp_path / "params.yaml").write_text(parameters(0.0, 1.0), encoding="utf-8")
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
        "deletion": {},
        "synonyms": {"kept": 2, "near_identical_to_held_out": 1, "unchanged": 2},
    }


def test_deletion_needs_no_dictionary(here: Path) -> None:
    (here / "params.yaml").write_text(parameters(1.0, 0.0), encoding="utf-8")
    (here / "synonyms.tsv").write_text("")
    assert ran(here) == (0, ["augment: 5 records and 3 new phrasings"])
    rows = list(records.read(here / "augmented" / "train.jsonl"))
    assert [len(child.question.split()) for child in rows[5:7]] == [3, 4]
    assert "12345" in rows[6].question
    assert len(rows[7].question) == len("退款多久到账") - 1


def test_two_runs_give_the_same_bytes(here: Path) -> None:
    (here / "params.yaml").write_text(parameters(1.0, 1.0), encoding="utf-8")
    assert ran(here, "first")[0] == ran(here, "second")[0] == 0
    for file in (here / "first").iterdir():
        assert file.read_bytes() == (here / "second" / file.name).read_bytes(), file.name


def test_a_bad_dictionary_is_refused_in_one_line(here: Path) -> None:
    (here / "synonyms.tsv").write_text("en refund reimburse\n")
    line = "error: synonyms.tsv:1: must be language, word and synonyms, tab-separated"
    assert ran(here) == (2, [line])
    assert listing(here) == []


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Send it to Ann", '{"name": "Ann"}', "unchanged"),
        ("Mail it to Ann", '{"name": "Ann"}', None),
        ("Send it to Bob", '{"name": "Ann"}', "answer_no_longer_in_question"),
        ("Known, Ann", '{"name": "Ann"}', "duplicate"),
        ("HELD-OUT Ann", '{"name": "Ann"}', "near_identical_to_held_out"),
    ],
)
def test_a_child_unfit_for_training_is_left_out_and_the_reason_counted(
    question: str, answer: str, reason: str | None
) -> None:
    parent = row("Send it to Ann", answer)
    known = {parent.id, row("Known, Ann", answer).id}
    assert augment.fault(parent, row(question, answer), known, {"heldoutann"}) == reason
