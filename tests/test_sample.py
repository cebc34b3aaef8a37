"""The sample corpus has the bytes that its generator writes, and its README is right."""

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

DATA = Path(__file__).parents[1] / "data"
LANGUAGES = ["en", "zh"]
BROKEN = {
    "intent.csv": [402, 911, 1377],
    "slots.jsonl": [187, 260],
    "replies.jsonl": [78, 203, 341],
    "preferences.jsonl": [97, 228],
}


def read_yaml(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((DATA / "sample" / name).read_text("utf-8"))


def read_rows(name: str) -> list[Any]:
    """Return the rows of a raw file without the broken rows."""
    lines = (DATA / "raw" / name).read_text("utf-8").splitlines()
    valid = [line for at, line in enumerate(lines, 1) if at not in BROKEN.get(name, [])]
    return list(csv.DictReader(valid)) if name.endswith(".csv") else [json.loads(s) for s in valid]


def read_files(folder: Path) -> dict[str, bytes]:
    """Map the path of each file in raw/ and starter/ to its bytes."""
    paths = [path for part in ("raw", "starter") for path in (folder / part).rglob("*")]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if path.is_file() and path.name != ".gitignore"
    }


def test_generating_gives_the_committed_bytes(tmp_path: Path) -> None:
    command = [sys.executable, str(DATA / "sample/generate.py"), str(tmp_path)]
    environment = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONUTF8": "0"}
    subprocess.run(command, check=True, env=os.environ | environment)
    generated, committed = read_files(tmp_path), read_files(DATA)
    assert len(generated) == 9
    for name, content in generated.items():
        assert content == committed.get(name), f"generate.py writes other bytes to {name}"
    readme = Path("sample/README.md")
    assert (tmp_path / readme).read_bytes() == (DATA / readme).read_bytes(), (
        "README.md is outdated; run generate.py"
    )


def test_the_readme_counts_the_rows_of_all_files() -> None:
    readme = (DATA / "sample/README.md").read_text("utf-8")
    counts_in_readme = dict(re.findall(r"^\| (\w+/\S+) \| ([\d,]+) \|", readme, flags=re.MULTILINE))
    assert counts_in_readme.keys() >= {name for name in read_files(DATA) if name.startswith("raw/")}
    assert counts_in_readme["raw/intent.csv"] == "3,239"
    for name, count in counts_in_readme.items():
        text = (DATA / name).read_text("utf-8")
        match Path(name).suffix:
            case ".csv":
                rows = list(csv.DictReader(text.splitlines()))
            case ".json":
                rows = json.loads(text)
            case _:
                rows = text.splitlines()
        assert count == f"{len(rows):,}", name


def test_intents_are_uneven_and_bilingual() -> None:
    counts = Counter(row["intent"] for row in read_rows("intent.csv"))
    assert len(counts) == 16
    assert min(counts.values()) >= 45
    assert 5 <= max(counts.values()) / min(counts.values()) <= 7
    assert sorted([*counts, "out_of_scope"]) == json.loads((DATA / "raw/labels.json").read_text())
    languages = Counter(row["language"] for row in read_rows("intent.csv"))
    assert abs(languages["en"] - languages["zh"]) < 40
    assert {row["phrasing"] for row in read_rows("intent.csv")} == {"seen"}
    assert {row["difficulty"] for row in read_rows("intent.csv")} == {"easy", "hard"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_intent_has_21_frames_and_5_unseen_frames(language: str) -> None:
    for intent, frames in read_yaml(f"intents.{language}.yaml").items():
        seen, unseen = frames["seen"].splitlines(), frames["unseen"].splitlines()
        assert len(seen) >= 21, intent
        assert len(unseen) == 5, intent
        assert len({*seen, *unseen}) == len(seen) + len(unseen), intent


@pytest.mark.parametrize("language", LANGUAGES)
def test_unseen_frames_occur_only_in_the_unseen_file(language: str) -> None:
    vocabulary = read_yaml("vocabulary.yaml")[language]
    kinds = ("product", "colour", "size", "city", "day")
    words = [word for kind in kinds for word in vocabulary[kind]]
    words += ["parcel", "package", "包裹", "快递"]
    filler = "|".join([*map(re.escape, words), r"\d+"])

    def mask_fillers(text: str) -> str:
        return re.sub(filler, "#", text.casefold(), flags=re.IGNORECASE)

    frames = {
        mask_fillers(re.sub(r"\{[^}]*\}", "#", line.removeprefix("~ ")))
        for intent in read_yaml(f"intents.{language}.yaml").values()
        for line in intent["unseen"].splitlines()
    }
    texts = {name: mask_fillers(content.decode()) for name, content in read_files(DATA).items()}
    unseen = texts.pop("raw/intent_unseen.csv")
    for frame in frames:
        assert frame in unseen
        assert [name for name, text in texts.items() if frame in text] == [], frame


def test_each_intent_has_20_unseen_rows() -> None:
    unseen = read_rows("intent_unseen.csv")
    assert set(Counter((row["intent"], row["language"]) for row in unseen).values()) == {10}
    assert len({row["text"] for row in unseen}) == len(unseen) == 320
    assert {row["phrasing"] for row in unseen} == {"unseen"}


def test_every_slot_value_occurs_in_the_input() -> None:
    for row in read_rows("slots.jsonl"):
        slots = json.loads(row["output"])
        assert 1 <= len(slots) <= 4
        assert set(slots) <= {"order", "product", "colour", "size", "city", "day", "quantity"}
        assert all(value in row["input"] for value in slots.values()), row
        compact = json.dumps(slots, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert row["output"] == compact


def test_replies_alternate_roles_and_one_in_five_has_two_questions() -> None:
    turns = []
    for row in read_rows("replies.jsonl"):
        roles = [turn["role"] for turn in row["messages"] if turn["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        turns.append(len(roles) // 2)
    assert set(turns) == {1, 2}
    assert 0.17 < turns.count(2) / len(turns) < 0.23


def test_the_other_tasks_are_complete() -> None:
    out_of_domain = json.loads((DATA / "raw/out_of_domain.json").read_text("utf-8"))
    assert len({row["text"] for row in out_of_domain}) == len(out_of_domain) == 220
    assert {row["intent"] for row in out_of_domain} == {"out_of_scope"}
    attacks = read_rows("adversarial.jsonl")
    assert len({row["prompt"] for row in attacks}) == len(attacks) == 64
    pairs = read_rows("preferences.jsonl")
    assert len(pairs) == 320
    assert all(pair["chosen"] != pair["rejected"] for pair in pairs)
    assert all(pair["chosen_score"] > pair["rejected_score"] for pair in pairs)
    assert set(Counter(pair["reject_reason"] for pair in pairs).values()) == {64}


def test_starter_text_contains_no_label_and_no_chat_markup() -> None:
    content = (DATA / "starter/text.jsonl").read_text("utf-8")
    assert 1_200_000 < len(content.encode()) < 1_400_000
    assert all(set(json.loads(line)) == {"text"} for line in content.splitlines())
    for label in json.loads((DATA / "raw/labels.json").read_text()):
        assert label not in content
    assert "<|" not in content


def test_starter_text_contains_no_reply_of_the_training_data() -> None:
    def mask_digits(text: str) -> str:
        return re.sub(r"\d+", "0", text)

    content = mask_digits((DATA / "starter/text.jsonl").read_text("utf-8"))
    turns = [turn for row in read_rows("replies.jsonl") for turn in row.get("messages", [])]
    answers = {mask_digits(turn["content"]) for turn in turns if turn.get("role") == "assistant"}
    assert len(answers) > 200
    assert [answer for answer in answers if answer and answer in content] == []


@pytest.mark.parametrize(
    ("name", "duplicates"), [("intent.csv", 16), ("slots.jsonl", 8), ("replies.jsonl", 6)]
)
def test_the_number_of_exact_duplicates_is_as_stated(name: str, duplicates: int) -> None:
    rows = [json.dumps(row, sort_keys=True) for row in read_rows(name)]
    assert len(rows) - len(set(rows)) == duplicates


def test_broken_rows_are_where_the_readme_says() -> None:
    readme = (DATA / "sample/README.md").read_text("utf-8")
    listed = re.findall(r"^\| (\S+):(\d+) \| (.+) \|$", readme, flags=re.MULTILINE)
    broken = read_yaml("dirt.yaml")["broken"]
    assert [(row["file"], str(row["line"]), row["reason"]) for row in broken] == listed
    assert {(name, line) for name in BROKEN for line in BROKEN[name]} == {
        (row["file"], row["line"]) for row in broken
    }
    for row in broken:
        lines = (DATA / "raw" / row["file"]).read_text("utf-8").splitlines()
        assert lines[row["line"] - 1] == row["row"]


def test_synonyms_are_bilingual_and_no_word_is_its_own_synonym() -> None:
    entries = [line.split("\t") for line in (DATA / "synonyms.tsv").read_text("utf-8").splitlines()]
    assert len({(language, word) for language, word, _ in entries}) == len(entries)
    assert all(count >= 55 for count in Counter(entry[0] for entry in entries).values())
    assert all(word not in others.split(",") for _, word, others in entries)
