"""The stage prepare accounts for every row, and cleans and splits the records."""

import copy
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep import records
from lockstep.cli.checks.reference_checks import check_references
from lockstep.data.grades import make_code
from lockstep.data.splitting import SPLITS
from lockstep.records import Record
from lockstep.suites import Suite

REPOSITORY = Path(__file__).parents[2]
PARAMS = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")

TOPICS = ["parcel", "invoice", "account", "warranty", "voucher", "password", "delivery", "refund"]
VERBS = ["find", "change", "cancel", "print", "check"]
QUESTIONS = [f"How do I {verb} my {topic}?" for verb in VERBS for topic in TOPICS]

SOURCE: dict[str, Any] = {
    "path": "intent.csv",
    "format": "classification",
    "task": "intent",
    "labels": "labels.json",
}


def extract_label(question: str) -> str:
    return question.split()[3]


def load_params() -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(PARAMS)
    return values


def write_params(folder: Path, **changes: Any) -> None:
    """Write the repository's params.yaml (as JSON, which is YAML) with one source and changes."""
    values = load_params()
    split = {"method": "quota", "validation": 0.1, "test": 0.2}
    values["prepare"] |= {
        "sources": [SOURCE],
        "clean": ["unicode", "invisible", "width", "punctuation", "space"],
        "max_rejected_fraction": 0.1,
        **changes,
        "split": split | changes.get("split", {}),
    }
    del values["evaluate"]["domains"]  # no source here has the slice of the sample
    (folder / "params.yaml").write_text(json.dumps(values), encoding="utf-8")


def write_csv(file: Path, header: str, *rows: str) -> None:
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with 40 good rows, a duplicate after cleaning and a label that is not allowed."""
    (tmp_path / "raw").mkdir()
    rows = [f"{question},{extract_label(question)}" for question in QUESTIONS]
    rows += ["How do I find  my parcel？,find", "How do I lose my parcel?,lose"]
    write_csv(tmp_path / "raw" / "intent.csv", "text,label", *rows)
    (tmp_path / "raw" / "labels.json").write_text(json.dumps([*VERBS, "greet"]))
    write_params(tmp_path)
    return tmp_path


def add_source(workspace: Path, name: str, *rows: tuple[str, str]) -> dict[str, Any]:
    """Write another file of (text, label), and return its source."""
    write_csv(workspace / "raw" / name, "text,label", *(f"{text},{label}" for text, label in rows))
    return {**SOURCE, "path": name}


def make_environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    return {**environment, "PYTHONPATH": str(REPOSITORY)}


def run_prepare(workspace: Path, out: str = "prepared") -> tuple[int, list[str]]:
    """Run the stage, and return its exit code and the lines on stderr."""
    result = subprocess.run(
        [sys.executable, "-m", "stages.prepare", "raw", out],
        cwd=workspace, env=make_environment(), capture_output=True, text=True,
    )  # fmt: skip
    return result.returncode, result.stderr.splitlines()


def prepare(workspace: Path, **changes: Any) -> dict[str, Any]:
    """Run the stage with changed params, and return the data card."""
    write_params(workspace, **changes)
    code, lines = run_prepare(workspace)
    assert code == 0, lines
    return read_json(workspace, "card.json")


def read_json(workspace: Path, name: str) -> Any:
    return json.loads((workspace / "prepared" / name).read_text())


def read_lines(workspace: Path, name: str) -> list[dict[str, Any]]:
    lines = (workspace / "prepared" / name).read_text().splitlines()
    return [json.loads(line) for line in lines]


def read_removed(workspace: Path) -> list[tuple[str, str, str]]:
    """Return (origin, reason, cause) of each removed record."""
    rows = read_lines(workspace, "removed.jsonl")
    return [(row["origin"], row["reason"], row["because_of"]) for row in rows]


def read_splits(workspace: Path) -> dict[str, list[Record]]:
    files = {name: workspace / "prepared" / f"{name}.jsonl" for name in SPLITS}
    return {name: list(records.read(file)) for name, file in files.items()}


def list_outputs(workspace: Path) -> list[str]:
    paths = [path.relative_to(workspace) for path in workspace.rglob("*")]
    return sorted(path.as_posix() for path in paths if path.parts[0] not in {"raw", "params.yaml"})


def test_every_row_is_kept_rejected_or_a_duplicate(workspace: Path) -> None:
    assert run_prepare(workspace) == (0, [
        "prepare: 42 rows: 1 rejected, 1 duplicate; 28 train, 4 validation, 8 test"
    ])  # fmt: skip
    assert list_outputs(workspace) == [
        "prepared",
        "prepared/card.json",
        "prepared/labels.json",
        "prepared/rejected.jsonl",
        "prepared/removed.jsonl",
        "prepared/tasks.json",
        "prepared/test.jsonl",
        "prepared/train.jsonl",
        "prepared/validation.jsonl",
    ]
    splits = read_splits(workspace)
    questions = [record.question for split in splits.values() for record in split]
    assert sorted(questions) == sorted(QUESTIONS)
    assert read_lines(workspace, "rejected.jsonl") == [
        {
            "detail": '"lose" is not in labels.json',
            "origin": "intent.csv:43",
            "reason": "unknown_label",
            "row": '{"label": "lose", "text": "How do I lose my parcel?"}',
        }
    ]
    assert read_lines(workspace, "removed.jsonl") == [
        {"because_of": "intent.csv:2", "origin": "intent.csv:42", "reason": "duplicate"}
    ]
    assert read_json(workspace, "labels.json") == {"intent": sorted(VERBS)}
    assert read_json(workspace, "tasks.json") == {
        "intent": {
            "kind": "label",
            "slices": [],
            "records": {"train": 28, "validation": 4, "test": 8},
        }
    }
    card = read_json(workspace, "card.json")
    assert card["rows"] == {
        "read": 42, "kept": 40, "left_out": 0, "rejected": 1, "duplicates": 1, "removed": 0,
    }  # fmt: skip
    assert card["rejected"] == {"unknown_label": 1}
    assert card["removed"] == {"duplicate": 1}
    assert card["cleaned"] == {
        "unicode": 0, "invisible": 0, "width": 0, "punctuation": 1, "space": 1,
    }  # fmt: skip
    assert card["labels"] == {"intent": dict.fromkeys(sorted(VERBS), 8)}
    assert card["unlearnt_labels"] == {}
    assert {name: split["records"] for name, split in card["splits"].items()} == {
        "train": 28, "validation": 4, "test": 8,
    }  # fmt: skip


def test_rows_that_a_source_leaves_out_and_unknown_columns_are_named(workspace: Path) -> None:
    rows = [f"{text},{extract_label(text)},{n},x" for n, text in enumerate(QUESTIONS)]
    write_csv(workspace / "raw" / "intent.csv", "text,label,number,lable", *rows)
    other = add_source(workspace, "more.csv", *((f"more {n}", "greet") for n in range(9)))
    where = {**SOURCE, "where": "number >= 4", "sample": 30, "licence": "CC0"}
    write_params(workspace, sources=[where, {**other, "limit": 3, "max_rejected_fraction": 0.0}])
    code, lines = run_prepare(workspace)
    assert code == 0
    assert lines[0] == "prepare: note: intent.csv: columns that nothing reads: lable"
    assert lines[1].startswith(
        "prepare: 43 rows: 4 left out by where, 6 left out by sample, 0 rejected"
    )
    card = read_json(workspace, "card.json")
    rows_by_fate = card["rows"]
    assert rows_by_fate["read"] == 43 == sum(rows_by_fate.values()) - rows_by_fate["read"]
    assert card["sources"] == {
        "intent.csv": {
            "records": 30, "rejected": 0, "left_out": {"where": 4, "sample": 6},
            "unknown_columns": ["lable"],
        },
        "more.csv": {"records": 3, "rejected": 0, "left_out": {}, "unknown_columns": []},
    }  # fmt: skip
    assert card["licences"] == {"intent.csv": "CC0", "more.csv": ""}


def test_two_runs_give_the_same_bytes(workspace: Path) -> None:
    assert run_prepare(workspace, "first")[0] == run_prepare(workspace, "second")[0] == 0
    for file in (workspace / "first").iterdir():
        assert file.read_bytes() == (workspace / "second" / file.name).read_bytes(), file.name


def test_all_pairs_of_a_row_are_in_one_split(workspace: Path) -> None:
    rows = [
        {"prompt": question, "chosen": "Gladly.", "rejected": ["No.", "Never.", "Later."]}
        for question in QUESTIONS
    ]
    (workspace / "raw" / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write_params(workspace, sources=[{"path": "pairs.jsonl", "format": "preference"}])
    assert run_prepare(workspace)[0] == 0
    splits = read_splits(workspace)
    origins = [{record.origin.split(".jsonl:")[1].split(".")[0] for record in split}
               for split in splits.values()]  # fmt: skip
    assert [len(split) for split in splits.values()] == [84, 12, 24]
    assert sum(map(len, origins)) == len(set.union(*origins)) == 40


def test_shortened_conversations_are_counted(workspace: Path) -> None:
    rows = [
        {"messages": [
            {"role": "user", "content": question}, {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Sure?"},
            {"role": "assistant", "content": "No.", "weight": number % 2},
        ]}
        for number, question in enumerate(QUESTIONS)
    ]  # fmt: skip
    (workspace / "raw" / "chats.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write_params(workspace, sources=[{"path": "chats.jsonl", "format": "messages"}])
    assert run_prepare(workspace)[0] == 0
    assert json.loads((workspace / "prepared" / "card.json").read_text())["shortened"] == 20
    answers = [record.answer for split in read_splits(workspace).values() for record in split]
    assert sorted(answers) == ["No."] * 20 + ["Yes."] * 20


def test_too_many_rejected_rows_are_refused_and_listed(workspace: Path) -> None:
    write_params(workspace, max_rejected_fraction=0.0)
    assert run_prepare(workspace) == (2, [
        "error: 1 of 42 rows rejected, more than prepare.max_rejected_fraction 0.0; "
        "repair them or raise it:",
        'error: intent.csv:43: unknown_label ("lose" is not in labels.json)',
    ])  # fmt: skip
    assert list_outputs(workspace) == []


@pytest.mark.parametrize("name", ["validation", "test"])
def test_an_empty_split_is_refused(workspace: Path, name: str) -> None:
    write_params(workspace, split={name: 0.0})
    line = f"error: the {name} split is empty; correct prepare.split or add data"
    assert run_prepare(workspace) == (2, [line])
    assert list_outputs(workspace) == []


def test_an_empty_split_is_explained_by_the_rows_that_were_rejected(workspace: Path) -> None:
    rows = ["Where is it?,lose", "Who are you?,lose", "How much?,"]
    write_csv(workspace / "raw" / "test.csv", "text,label", *rows)
    test = {**SOURCE, "path": "test.csv", "split": "test"}
    split = {"test": 0.0, "validation": 0.2}
    write_params(workspace, max_rejected_fraction=1.0, sources=[SOURCE, test], split=split)
    code, (line,) = run_prepare(workspace)
    assert code == 2
    assert line.startswith(
        "error: the test split is empty: 3 of 3 rows rejected (unknown_label 2, empty_label 1), "
        'e.g. test.csv:2: unknown_label ("lose" is not in labels.json); correct these rows, or '
    )


def test_an_empty_split_is_explained_by_the_records_that_were_removed(workspace: Path) -> None:
    write_csv(workspace / "raw" / "train.csv", "text,label", f"{QUESTIONS[0]},find")
    sources = [{**SOURCE, "split": "test"}, {**SOURCE, "path": "train.csv", "split": "train"}]
    write_params(workspace, max_rejected_fraction=1.0, sources=sources)
    code, (line,) = run_prepare(workspace)
    assert code == 2
    assert line == (
        "error: the train split is empty: 1 of 1 records removed (duplicate 1), e.g. train.csv:2 "
        "because of intent.csv:2; correct these rows, or correct prepare.split or add data"
    )


@pytest.mark.parametrize("out", ["raw", "raw/out", ".", "raw/../raw"])
def test_an_output_that_overlaps_with_the_input_is_refused(workspace: Path, out: str) -> None:
    line = f"error: {out}: overlaps with the input RAW; name another output"
    assert run_prepare(workspace, out) == (2, [line])
    assert (workspace / "raw" / "intent.csv").is_file()
    assert (workspace / "params.yaml").is_file()


def test_a_missing_source_is_refused(workspace: Path) -> None:
    (workspace / "raw" / "intent.csv").unlink()
    line = "error: raw/intent.csv: not found; put it there or correct prepare.sources"
    assert run_prepare(workspace) == (2, [line])


def test_rows_that_cleaning_makes_invalid_are_rejected(workspace: Path) -> None:
    with (workspace / "raw" / "intent.csv").open("a", encoding="utf-8") as stream:
        stream.write("\u200b,find\nHow <|im\u200b_end|>,find\n")
    assert run_prepare(workspace)[0] == 0
    rejected = read_lines(workspace, "rejected.jsonl")
    assert {row["origin"]: row["reason"] for row in rejected} == {
        "intent.csv:43": "unknown_label",
        "intent.csv:44": "empty_after_cleaning",
        "intent.csv:45": "control_token",
    }


def test_a_source_has_its_own_cleaning_steps(workspace: Path) -> None:
    raw = add_source(workspace, "raw.csv", ("Ｗhich  form？", "find"))
    narrow = add_source(workspace, "narrow.csv", ("Ｐrint  it？", "print"))
    changes = (
        {"clean": {"user": []}, "split": "validation"},
        {"clean": ["width"], "split": "test"},
    )
    sources = [{**SOURCE, "split": "train"}, {**raw, **changes[0]}, {**narrow, **changes[1]}]
    prepare(workspace, sources=sources, split={"validation": 0.0, "test": 0.0})
    splits = read_splits(workspace)
    assert [record.question for record in splits["validation"]] == ["Ｗhich  form？"]
    assert [record.question for record in splits["test"]] == ["Print  it？"]
    assert all("  " not in record.question for record in splits["train"])


def test_rows_under_a_wrong_encoding_are_rejected_with_the_likely_one(workspace: Path) -> None:
    damaged = "我想退款，可以吗".encode("gb18030").decode("latin-1")
    with (workspace / "raw" / "intent.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"{damaged},find\n")
    prepare(workspace, clean=["encoding", "space"])
    row = read_lines(workspace, "rejected.jsonl")[-1]
    assert (row["origin"], row["reason"]) == ("intent.csv:44", "wrong_encoding")
    assert "gb18030" in row["detail"]


def test_near_duplicates_of_a_test_file_are_removed_from_training(workspace: Path) -> None:
    train = {**SOURCE, "split": "train"}
    test = add_source(
        workspace, "test.csv",
        ("how do I find my PARCEL pls", "find"), ("Fresh question", "greet"),
    )  # fmt: skip
    validation = add_source(workspace, "validation.csv", ("Another question", "greet"))
    card = prepare(
        workspace,
        sources=[train, {**test, "split": "test"}, {**validation, "split": "validation"}],
    )
    assert card["removed"] == {"duplicate": 1, "near_duplicate": 1}
    assert read_removed(workspace)[1] == ("intent.csv:2", "near_duplicate", "test.csv:2")
    assert card["splits"]["test"]["records"] == 2
    assert card["unlearnt_labels"] == {"intent": {"greet": 2}}, "one in test, one in validation"


def test_quota_holds_in_the_strata_that_follow_from_the_sources(workspace: Path) -> None:
    languages = ["zh" if number % 4 == 0 else "en" for number in range(len(QUESTIONS))]
    rows = [f"{text},find,{name}" for text, name in zip(QUESTIONS, languages, strict=True)]
    write_csv(workspace / "raw" / "intent.csv", "text,label,language", *rows)
    card = prepare(workspace, sources=[{**SOURCE, "slices": ["language"]}])
    assert {name: split["slices"]["language"] for name, split in card["splits"].items()} == {
        "train": {"en": 21, "zh": 7},
        "validation": {"en": 3, "zh": 1},
        "test": {"en": 6, "zh": 2},
    }


def write_channels(workspace: Path, name: str, chat: int, mail: int) -> dict[str, Any]:
    """Write a file of different questions with a column for the channel; return its source.

    All questions by mail end with the same four words.
    """
    rows = []
    for channel, count in (("chat", chat), ("mail", mail)):
        end = "with many thanks again" if channel == "mail" else "x" * 22
        digests = (hashlib.sha256(f"{name}{channel}{n}".encode()).hexdigest() for n in range(count))
        rows += [f"{digest} {end},find,{channel}" for digest in digests]
    write_csv(workspace / "raw" / name, "text,label,channel", *rows)
    return {**SOURCE, "path": name, "slices": ["channel"]}


def test_drift_from_training_is_a_warning(workspace: Path) -> None:
    """Four words of any test record by mail are in all others, so none stays in training."""
    source = write_channels(workspace, "channels.csv", chat=150, mail=150)
    write_params(workspace, sources=[source], decontaminate={"words": 4, "benchmarks": []})
    code, (_, warning) = run_prepare(workspace)
    assert code == 0
    assert warning.startswith(
        "prepare: warning: The test split differs from training in the slice channel: mail is 50.0%"
        " of test and 0.0% of training (population stability index "
    )
    card = read_json(workspace, "card.json")
    assert card["warnings"] == [warning.removeprefix("prepare: warning: ")]
    facts = card["drift"]["test"]["the slice channel"]
    assert (facts["is_drift"], facts["records"], facts["share"]) == (True, 60, 0.5)


def test_a_source_of_a_split_is_no_drift(workspace: Path) -> None:
    divided = write_channels(workspace, "divided.csv", chat=150, mail=150)
    unseen = {**write_channels(workspace, "unseen.csv", chat=0, mail=150), "split": "test"}
    card = prepare(workspace, sources=[divided, unseen])
    assert card["splits"]["test"]["slices"]["channel"] == {"chat": 30, "mail": 180}
    assert card["drift"]["test"]["the slice channel"]["share"] == 0.5
    assert card["warnings"] == []


def test_method_hash_with_strata_is_refused_beside_other_mistakes(workspace: Path) -> None:
    write_params(workspace, clean=["soap"], split={"method": "hash", "by": ["task"]})
    code, lines = run_prepare(workspace)
    assert code == 2
    (line,) = [line for line in lines if "split" in line]
    assert line == (
        "error: params.yaml: prepare.split.by: method hash ignores strata; "
        "remove them or set method to stratified"
    )
    assert any("prepare.clean: 'soap' is no step; known: encoding, " in line for line in lines)


def test_conflicts_are_resolved_by_the_policy(workspace: Path) -> None:
    conflicting = add_source(workspace, "more.csv", ("How do I find my parcel?", "print"))

    def prepare_with(policy: str) -> dict[str, Any]:
        duplicates = {"threshold": 0.9, "near": "group", "conflicts": policy}
        return prepare(workspace, sources=[SOURCE, conflicting], duplicates=duplicates)

    assert prepare_with("keep")["conflicts"] == 1
    assert prepare_with("drop")["removed"] == {"conflict": 3}
    assert ("more.csv:2", "conflict", "intent.csv:2") in read_removed(workspace)
    assert prepare_with("majority")["removed"] == {"conflict": 1, "duplicate": 1}
    assert read_removed(workspace)[0] == ("more.csv:2", "conflict", "intent.csv:2")


def test_a_group_of_most_records_is_named_if_a_split_is_empty(workspace: Path) -> None:
    rows = [f"How do I find my parcel number {number},find" for number in range(60)]
    write_csv(workspace / "raw" / "intent.csv", "text,label", *rows)
    code, lines = run_prepare(workspace)
    assert code == 2
    assert " split is empty (60 records are one group); correct prepare.split" in lines[0]


def test_group_members_of_a_test_file_are_removed_from_training(workspace: Path) -> None:
    rows = [f"{text},{extract_label(text)},u{number % 5}" for number, text in enumerate(QUESTIONS)]
    write_csv(workspace / "raw" / "intent.csv", "text,label,user", *rows)
    write_csv(workspace / "raw" / "test.csv", "text,label,user", "A different matter,find,u0")
    validation = add_source(workspace, "validation.csv", ("Something new", "find"))
    grouped = {**SOURCE, "columns": {"group": "user"}}
    card = prepare(
        workspace,
        sources=[
            {**grouped, "split": "train"},
            {**grouped, "path": "test.csv", "split": "test"},
            {**validation, "split": "validation"},
        ],
    )
    assert card["removed"] == {"group": 8}
    assert {cause for _, _, cause in read_removed(workspace)} == {"test.csv:2"}


def test_near_duplicates_may_be_merged(workspace: Path) -> None:
    near = add_source(workspace, "more.csv", ("How do I find my parcel pls?", "find"))
    duplicates = {"threshold": 0.7, "near": "merge", "conflicts": "keep"}
    prepare(workspace, sources=[SOURCE, near], duplicates=duplicates)
    assert ("more.csv:2", "near_duplicate", "intent.csv:2") in read_removed(workspace)


def test_records_that_repeat_a_benchmark_are_removed_from_training(workspace: Path) -> None:
    line = '{"turns": ["Tell me: how do I cancel my voucher"]}\n'
    (workspace / "raw" / "bench.jsonl").write_text(line)
    card = prepare(workspace, decontaminate={"words": 6, "benchmarks": ["bench.jsonl"]})
    causes = [cause for _, reason, cause in read_removed(workspace) if reason == "contaminated"]
    assert causes == ["bench.jsonl:1"]
    assert card["removed"]["contaminated"] == 1
    assert card["benchmark_texts"] == {"bench.jsonl": 1}
    train = (workspace / "prepared" / "train.jsonl").read_text()
    assert "cancel my voucher" not in train


def test_the_closing_line_counts_removals_by_reason(workspace: Path) -> None:
    """One row shares six words with a benchmark, three differ from another row in a word."""
    (workspace / "raw" / "bench.csv").write_text("text\nthe old voucher will not go through\n")
    rows = [("The old voucher will not go!", "find"), ("Oh! The old voucher will not go", "find")]
    rows += [("How do I find my parcel pls?", "find"), ("How do I find my refund pls?", "find")]
    more = add_source(workspace, "more.csv", *rows)
    write_params(
        workspace,
        sources=[SOURCE, {**more, "split": "train"}],
        duplicates={"threshold": 0.7, "near": "merge", "conflicts": "keep"},
        decontaminate={"words": 6, "benchmarks": ["bench.csv"]},
    )
    code, (line, *_) = run_prepare(workspace)
    assert code == 0, line
    counts = "1 rejected, 1 contaminated, 1 duplicate, 3 near-duplicates; "
    assert counts in line, line


@pytest.mark.parametrize("near", ["group", "merge"])
def test_questions_that_differ_in_system_turn_number_sign_or_pair_stay(
    workspace: Path, near: str
) -> None:
    """Each row of these files says something else, so none is a duplicate."""

    def write_rows(name: str, rows: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (workspace / "raw" / name).write_text(lines)

    def make_row(question: str, answer: str, system: str = "") -> dict[str, Any]:
        turns = [("system", system)] * bool(system) + [("user", question), ("assistant", answer)]
        return {"messages": [{"role": role, "content": text} for role, text in turns]}

    conversations = [
        make_row("Where does the train to Bath leave?", "Yes", "Answer with yes or no."),
        make_row("Where does the train to Bath leave?", "Yes", "Answer with yes."),
        make_row("Where does the train to Bath leave?", "Yes"),
        make_row("Is it true that a<b holds for all of them?", "Yes"),
        make_row("Is it true that a>b holds for all of them?", "Yes"),
        make_row("May I write the driver in C as well?", "Yes"),
        make_row("May I write the driver in C++ as well?", "Yes"),
        *(make_row(f"Please tell me what {n} times {n + 2} is.", "Yes") for n in range(30, 60)),
    ]
    pairs = [
        {"prompt": "Name a tree for me.", "chosen": chosen, "rejected": rejected}
        for chosen, rejected in [("Oak", "Car"), ("Oak", "Cup"), ("Elm", "Car"), ("Car", "Oak")]
    ]
    write_rows("chats.jsonl", conversations)
    write_rows("pairs.jsonl", pairs)
    card = prepare(
        workspace,
        sources=[
            {"path": "chats.jsonl", "format": "messages", "task": "chat"},
            {"path": "pairs.jsonl", "format": "preference", "task": "pairs"},
        ],
        duplicates={"threshold": 0.8, "near": near, "conflicts": "drop"},
        split={"method": "hash", "validation": 0.2, "test": 0.2},
    )
    assert card["rows"]["kept"] == len(conversations) + len(pairs)
    assert card["removed"] == {}


def test_a_smaller_share_of_training_is_a_subset_of_a_larger_one(workspace: Path) -> None:
    def list_train_ids(fraction: float) -> set[str]:
        prepare(workspace, split={"train_fraction": fraction})
        return {record.id for record in read_splits(workspace)["train"]}

    assert list_train_ids(0.3) < list_train_ids(0.7) < list_train_ids(1.0)


def test_the_records_of_a_group_stay_in_one_split(workspace: Path) -> None:
    rows = [f"{text},{extract_label(text)},u{number % 6}" for number, text in enumerate(QUESTIONS)]
    write_csv(workspace / "raw" / "intent.csv", "text,label,user", *rows)
    prepare(workspace, sources=[{**SOURCE, "columns": {"group": "user"}}])
    groups = [{record.group for record in split} for split in read_splits(workspace).values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 6


def test_a_group_may_span_two_files(workspace: Path) -> None:
    for name, texts in (("a.csv", QUESTIONS[::2]), ("b.csv", QUESTIONS[1::2])):
        rows = [f"{text},{extract_label(text)},u{number // 2}" for number, text in enumerate(texts)]
        write_csv(workspace / "raw" / name, "text,label,user", *rows)
    grouped = {**SOURCE, "columns": {"group": "user"}}
    card = prepare(workspace, sources=[{**grouped, "path": "a.csv"}, {**grouped, "path": "b.csv"}])
    assert card["near_duplicate_groups"] == 10
    splits_by_group: dict[str, set[str]] = {}
    for name, split in read_splits(workspace).items():
        for record in split:
            splits_by_group.setdefault(record.group, set()).add(name)
    assert len(splits_by_group) == 10
    assert all(len(names) == 1 for names in splits_by_group.values())


def test_a_column_names_the_task_and_each_task_has_its_labels(workspace: Path) -> None:
    rows = [f"{text},{extract_label(text)},{text.split()[-1]}" for text in QUESTIONS]
    write_csv(workspace / "raw" / "intent.csv", "text,label,task", *rows)
    by_column = {**SOURCE, "columns": {"task": "task"}}
    prepare(workspace, sources=[by_column])
    labels = read_json(workspace, "labels.json")
    assert labels == {f"{topic}?": sorted(VERBS) for topic in TOPICS}
    write_csv(
        workspace / "raw" / "more.csv",
        "text,label", "Where may my parcel be,find", "Print it all,print",
    )  # fmt: skip
    completions = {
        "path": "more.csv",
        "format": "prompt_completion",
        "task": "parcel?",
        "columns": {"prompt": "text", "completion": "label"},
    }
    card = prepare(workspace, sources=[by_column, completions])
    expected = {verb: 1 + (verb in ("find", "print")) for verb in sorted(VERBS)}
    assert card["labels"]["parcel?"] == expected


def test_rows_of_low_quality_are_rejected_below_min_score(workspace: Path) -> None:
    with (workspace / "raw" / "intent.csv").open("a", encoding="utf-8") as stream:
        stream.write("find,find\n")
    assert prepare(workspace)["faults"]["copies_question"] == 1
    card = prepare(workspace, quality={"min_score": 0.9})
    assert card["rejected"] == {"low_quality": 1, "unknown_label": 1}


def test_several_processes_give_the_bytes_of_one(workspace: Path) -> None:
    texts = [f"Question {chr(97 + n % 26)}{n} of {n % 977} about {n % 13}" for n in range(24_000)]
    write_csv(workspace / "raw" / "intent.csv", "text,label", *(f"{text},find" for text in texts))
    assert run_prepare(workspace, "many")[0] == 0
    code = (
        f"import os, sys, runpy; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); "
        "sys.argv = ['prepare', 'raw', 'one']; "
        "runpy.run_module('stages.prepare', run_name='__main__')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=workspace, env=make_environment(), check=True)
    for file in (workspace / "many").iterdir():
        assert file.read_bytes() == (workspace / "one" / file.name).read_bytes(), file.name


def test_a_label_studio_export_is_a_source_and_its_agreement_is_in_the_card(
    workspace: Path,
) -> None:
    export = REPOSITORY / "tests" / "data" / "label_studio_export.json"
    (workspace / "raw" / "people.json").write_bytes(export.read_bytes())
    people = {
        "path": "people.json", "format": "label_studio", "task": "intent", "slices": ["language"],
    }  # fmt: skip
    card = prepare(workspace, sources=[SOURCE, people])
    assert card["rejected"] == {"annotators_disagree": 2, "unknown_label": 1}
    assert card["agreement"] == {
        "people.json": {
            "annotators": 3, "tasks_answered_twice": 8, "krippendorff_alpha": 0.6524,
        },
    }  # fmt: skip
    assert read_json(workspace, "tasks.json")["intent"]["kind"] == "label"


def test_each_control_of_an_export_is_a_source_of_its_own(workspace: Path) -> None:
    exports = REPOSITORY / "tests" / "data" / "label_studio"
    for name in (
        "support.json", "spans.json", "spans.min.json", "pairwise.json", "dialogue.json",
    ):  # fmt: skip
        (workspace / "raw" / name).write_bytes((exports / name).read_bytes())
    support = {"path": "support.json", "format": "label_studio"}
    card = prepare(
        workspace,
        max_rejected_fraction=0.5,
        sources=[
            SOURCE,
            {**support, "control": "mood"},
            {**support, "control": "topic"},
            {**support, "control": "urgency", "annotation": "mean"},
            {**support, "control": "remark", "task": "reply"},
            {"path": "spans.json", "format": "label_studio"},
            {"path": "spans.min.json", "format": "label_studio", "task": "spans"},
            {
                "path": "pairwise.json", "format": "label_studio",
                "columns": {"text": "question", "left": "reply_one", "right": "reply_two"},
            },
            {
                "path": "dialogue.json", "format": "label_studio", "control": "act",
                "annotation": "utterances", "columns": {"text": "dialogue"}, "split": "train",
            },
        ],
    )  # fmt: skip
    tasks = read_json(workspace, "tasks.json")
    assert {name: task["kind"] for name, task in tasks.items()} == {
        "intent": "label", "support_mood": "label", "support_topic": "labels",
        "support_urgency": "number", "reply": "text", "spans": "json", "pairwise": "preference",
        "dialogue_act": "labels",
    }  # fmt: skip
    assert card["labels"].keys() == {"intent", "support_mood", "support_topic", "dialogue_act"}
    assert card["labels"]["support_topic"] == {"colour": 2, "delivery": 2, "price": 1}
    assert card["agreement"].keys() == {
        "support.json#mood", "support.json#topic", "support.json#urgency", "support.json#remark",
        "spans.json", "spans.min.json", "pairwise.json", "dialogue.json#act",
    }  # fmt: skip
    assert card["agreement"]["spans.json"]["span_f1"] == 0.4
    assert card["sources"]["support.json#mood"]["unknown_columns"] == ["channel"]
    assert card["sources"]["spans.min.json"]["unknown_columns"] == []
    rows = [row for split in read_splits(workspace).values() for row in split]
    assert {row.source for row in rows if row.task == "support_mood"} == {"support.json#mood"}
    turns = [row for row in rows if row.task == "dialogue_act"]
    assert len(turns) == 4 and len({row.group for row in turns}) == 2
    read = sum(len(read_lines(workspace, f"{name}.jsonl")) for name in SPLITS)
    assert card["rows"]["read"] == read + card["rows"]["rejected"] + len(read_removed(workspace))


def test_records_with_low_grades_are_rejected(workspace: Path) -> None:
    assert run_prepare(workspace)[0] == 0
    rows = [row for split in read_splits(workspace).values() for row in split]
    worse, better = [row for row in rows if row.question.endswith("my voucher?")][:2]
    low, high = make_code(worse), make_code(better)
    write_csv(
        workspace / "raw" / "ann.csv", "item,correct,complete,consistent",
        f"{low},5,5,3", f"{high},4,4,4", "abc,1,1,1",
    )  # fmt: skip
    write_csv(
        workspace / "raw" / "ben.csv", "item,correct,complete,consistent",
        f"{low},5,5,3", f"{high},3,4,4",
    )  # fmt: skip
    quality = {"grades": ["ann.csv", "ben.csv"], "min_grade": 3.5}
    card = prepare(workspace, quality=quality)
    (rejected,) = [
        row for row in read_lines(workspace, "rejected.jsonl") if row["reason"] == "low_grade"
    ]
    assert (rejected["origin"], rejected["detail"]) == (worse.origin, "consistent: 3")
    assert (card["grades"]["records"], card["grades"]["unmatched"]) == (2, 1)
    assert card["grades"]["dimensions"]["consistent"]["mean"] == pytest.approx(8 / 3, abs=5e-5)
    card = prepare(workspace, quality={**quality, "min_grade": 3.0})
    assert "low_grade" not in card["rejected"]
    write_params(workspace, quality={"min_grade": 3.0})
    code, (line,) = run_prepare(workspace)
    assert code == 2 and "min_grade: needs files of grades" in line


def find_processes(folder: Path) -> list[int]:
    """Return the ids of the processes whose working directory is the folder."""
    ids = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ids += [int(entry.name)] * ((entry / "cwd").readlink() == folder)
        except OSError:
            continue
    return ids


def ignore_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the processes from /proc")
@pytest.mark.parametrize(
    ("number", "before"),
    [
        pytest.param(signal.SIGINT, None, id="SIGINT"),
        pytest.param(signal.SIGTERM, None, id="SIGTERM"),
        pytest.param(signal.SIGTERM, ignore_sigint, id="SIGTERM-in-the-background-of-a-script"),
        pytest.param(signal.SIGKILL, None, id="SIGKILL"),
    ],
)
def test_a_stopped_stage_leaves_no_process_and_no_output(
    workspace: Path, number: int, before: Callable[[], None] | None
) -> None:
    rows = [f"Question {n} of {n % 977},find" for n in range(150_000)]
    write_csv(workspace / "raw" / "intent.csv", "text,label", *rows)
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.prepare", "raw", "prepared"],
        cwd=workspace, env=make_environment(), stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=before,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(find_processes(workspace)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.random())  # the signal arrives at any point of its work
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does for Ctrl-C
    else:
        process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in stderr
    deadline = time.monotonic() + 10
    while find_processes(workspace) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert find_processes(workspace) == []
    if number != signal.SIGKILL:
        assert list_outputs(workspace) == []


def test_the_behaviour_sources_of_the_docs_are_test_records_and_do_not_change_training(
    tmp_path: Path,
) -> None:
    docs = (REPOSITORY / "docs/evaluation.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(prepare:[^`]*behaviour.*?)```", docs, flags=re.DOTALL)
    shown = {
        source["path"]: source
        for source in YAML(typ="safe", pure=True).load(block)["prepare"]["sources"]
    }
    params = load_params()
    sources = {source["path"]: source for source in params["prepare"]["sources"]}
    for path, source in shown.items():
        assert source.items() <= sources[path].items(), "the docs show params.yaml"
    without = copy.deepcopy(params)
    without["prepare"]["sources"] = [
        source for path, source in sources.items() if path not in shown
    ]
    (tmp_path / "raw").symlink_to(REPOSITORY / "data/raw")
    for values, out in ((without, "before"), (params, "prepared")):
        (tmp_path / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
        assert run_prepare(tmp_path, out)[0] == 0
    for name in ("train", "validation"):
        before = (tmp_path / "before" / f"{name}.jsonl").read_bytes()
        assert (tmp_path / "prepared" / f"{name}.jsonl").read_bytes() == before
    tasks = read_json(tmp_path, "tasks.json")
    test = read_splits(tmp_path)["test"]
    for task, form, number in (("behaviour", "rules", 50), ("refusal", "refusal", 240)):
        assert tasks[task]["kind"] == form
        part = [record for record in test if record.task == task]
        assert len(part) == number
        check_references(Suite.model_validate({"task": task, "answer": form}), part)
    rules = [json.loads(row)["rules"] for row in (REPOSITORY / "data/raw/behaviour.jsonl").open()]
    assert [record.answer for record in test if record.task == "behaviour"] == rules


def test_sources_may_share_a_folder_and_a_file_but_no_rows(workspace: Path) -> None:
    pairs = [[question, extract_label(question)] for question in QUESTIONS]
    content = {"train": pairs[:30], "test": pairs[30:], "version": 1}
    (workspace / "raw" / "splits").mkdir()
    (workspace / "raw" / "splits" / "a.json").write_text(json.dumps(content))
    part = {**SOURCE, "path": "splits/a.json", "columns": {"text": "0", "label": "1"}}
    train = {**part, "rows": "train"}
    test = {**part, "rows": "test", "split": "test", "path": "splits/*"}
    held_out = prepare(workspace, sources=[train, test])["splits"]["test"]
    assert held_out["sources"]["splits/*#test"] == 10
    assert read_splits(workspace)["test"][-1].origin.startswith("splits/a.json#test:1")
    write_params(workspace, sources=[train, {**part, "path": "splits/"}])
    assert run_prepare(workspace) == (
        2,
        ["error: prepare.sources: splits/ and splits/a.json both read splits/a.json; list each "
         "file once"],
    )  # fmt: skip
