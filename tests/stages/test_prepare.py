"""prepare: every row accounted for, clean, split; one line where it cannot."""

import copy
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep import records
from lockstep.metrics import suites

ROOT = Path(__file__).parents[2]
REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")

TOPICS = ["parcel", "invoice", "account", "warranty", "voucher", "password", "delivery", "refund"]
VERBS = ["find", "change", "cancel", "print", "check"]
QUESTIONS = [f"How do I {verb} my {topic}?" for verb in VERBS for topic in TOPICS]

SOURCE: dict[str, Any] = {
    "path": "intent.csv",
    "format": "classification",
    "task": "intent",
    "slices": [],
    "labels": "labels.json",
}


def parameters(**changed: Any) -> str:
    """The real params.yaml (JSON is YAML), with one source and the suite that fits it."""
    values = YAML(typ="safe", pure=True).load(REAL)
    split = {"method": "quota", "validation": 0.1, "test": 0.2, "by": []}
    values["prepare"] |= {
        "sources": [SOURCE],
        "clean": ["unicode", "invisible", "width", "punctuation", "space"],
        "max_rejected_fraction": 0.1,
        **changed,
        "split": values["prepare"]["split"] | split | changed.get("split", {}),
    }
    values["evaluate"] |= {
        "gates": [],
        "suites": [{"task": "intent", "answer": "choice", "metrics": ["accuracy"]}],
        "slices": [],
        "stability": values["evaluate"]["stability"] | {"tasks": []},
    }
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
    said = "prepare: 42 rows: 1 rejected, 1 duplicates or removed; 28 train, 4 validation, 8 test"
    assert ran(here) == (0, [said])
    assert listing(here) == [
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
    (removed,) = (out / "removed.jsonl").read_text().splitlines()
    assert json.loads(removed) == {
        "because_of": "intent.csv:2", "origin": "intent.csv:42", "reason": "duplicate",
    }  # fmt: skip
    assert json.loads((out / "labels.json").read_text()) == {"intent": sorted(VERBS)}
    card = json.loads((out / "card.json").read_text())
    assert card["rows"] == {
        "read": 42, "kept": 40, "rejected": 1, "duplicates": 1, "removed": 0,
    }  # fmt: skip
    assert card["rejected"] == {"unknown_label": 1}
    assert card["removed"] == {"duplicate": 1}
    assert card["cleaned"] == {
        "unicode": 0, "invisible": 0, "width": 0, "punctuation": 1, "space": 1,
    }  # fmt: skip
    assert card["labels"] == {"intent": dict.fromkeys(sorted(VERBS), 8)}
    assert card["unlearnt_labels"] == {}
    assert json.loads((out / "tasks.json").read_text()) == {
        "intent": {
            "kind": "label",
            "slices": [],
            "records": {"train": 28, "validation": 4, "test": 8},
        }
    }
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
    (here / "params.yaml").write_text(parameters(split={name: 0.0}), encoding="utf-8")
    line = f"error: the {name} split is empty; correct prepare.split or add data"
    assert ran(here) == (2, [line])
    assert listing(here) == []


@pytest.mark.parametrize("out", ["raw", "raw/out", ".", "raw/../raw"])
def test_an_output_never_takes_an_input_s_place(here: Path, out: str) -> None:
    assert ran(here, out) == (
        2,
        [f"error: {out}: overlaps with the input RAW; name another output"],
    )
    assert (here / "raw" / "intent.csv").is_file() and (here / "params.yaml").is_file()


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
        "intent.csv:44": "empty_after_cleaning",
        "intent.csv:45": "control_token",
    }


def card(here: Path, **changed: Any) -> dict[str, Any]:
    (here / "params.yaml").write_text(parameters(**changed), encoding="utf-8")
    code, said = ran(here)
    assert code == 0, said
    return json.loads((here / "prepared" / "card.json").read_text())


def add(here: Path, name: str, *rows: tuple[str, str]) -> dict[str, Any]:
    lines = ["text,label", *(f"{text},{label}" for text, label in rows)]
    (here / "raw" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {**SOURCE, "path": name}


def removed(here: Path) -> list[tuple[str, str, str]]:
    lines = (here / "prepared" / "removed.jsonl").read_text().splitlines()
    rows = map(json.loads, lines)
    return [(row["origin"], row["reason"], row["because_of"]) for row in rows]


def test_a_training_file_loses_what_is_near_a_test_file(here: Path) -> None:
    test = add(
        here, "test.csv", ("how do I find my PARCEL pls", "find"), ("Fresh question", "greet")
    )
    learnt = {**SOURCE, "split": "train"}
    tuned = {**add(here, "tuned.csv", ("Another question", "greet")), "split": "validation"}
    facts = card(here, sources=[learnt, {**test, "split": "test"}, tuned])
    assert facts["removed"] == {"duplicate": 1, "near_duplicate": 1}
    assert removed(here)[1] == ("intent.csv:2", "near_duplicate", "test")
    assert facts["splits"]["test"]["records"] == 2
    assert facts["unlearnt_labels"] == {"intent": {"greet": 2}}, "one of test, one of validation"


def test_conflicts_are_resolved_as_asked(here: Path) -> None:
    more = add(here, "more.csv", ("How do I find my parcel?", "print"))
    both = [SOURCE, more]
    keep = {"threshold": 0.9, "near": "group", "conflicts": "keep"}
    assert card(here, sources=both, duplicates=keep)["conflicts"] == 1
    dropped = card(here, sources=both, duplicates={**keep, "conflicts": "drop"})
    assert dropped["removed"] == {"conflict": 3}
    assert ("more.csv:2", "conflict", "intent.csv:2") in removed(here)
    settled = card(here, sources=both, duplicates={**keep, "conflicts": "majority"})
    assert settled["removed"] == {"conflict": 1, "duplicate": 1}
    assert removed(here)[0] == ("more.csv:2", "conflict", "intent.csv:2")


def test_templates_that_are_one_group_leave_a_split_empty_and_it_says_so(here: Path) -> None:
    lines = [f"How do I find my parcel number {number},find" for number in range(60)]
    (here / "raw" / "intent.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    code, said = ran(here)
    assert code == 2
    assert " split is empty (60 records are one group); correct prepare.split" in said[0]


def test_one_group_in_two_files_of_different_splits_leaves_training(here: Path) -> None:
    lines = [f"{text},{text.split()[3]},u{at % 5}" for at, text in enumerate(QUESTIONS)]
    (here / "raw" / "intent.csv").write_text("\n".join(["text,label,user", *lines]) + "\n")
    (here / "raw" / "test.csv").write_text("text,label,user\nQuite another matter,find,u0\n")
    grouped = {**SOURCE, "columns": {"group": "user"}}
    facts = card(here, sources=[{**grouped, "split": "train"}, {**grouped, "path": "test.csv",
        "split": "test"}, {**add(here, "v.csv", ("Something new", "find")), "split": "validation"}],
        )  # fmt: skip
    assert facts["removed"] == {"group": 8}
    assert {row[2] for row in removed(here)} == {"test"}


def test_near_duplicates_may_be_merged(here: Path) -> None:
    more = add(here, "more.csv", ("How do I find my parcel pls?", "find"))
    merge = {"threshold": 0.7, "near": "merge", "conflicts": "keep"}
    card(here, sources=[SOURCE, more], duplicates=merge)
    assert ("more.csv:2", "near_duplicate", "intent.csv:2") in removed(here)


def test_training_loses_what_repeats_words_of_tests_and_benchmarks(here: Path) -> None:
    line = '{"turns": ["Tell me: how do I cancel my voucher"]}\n'
    (here / "raw" / "bench.jsonl").write_text(line)
    decontaminate = {"words": 6, "benchmarks": ["bench.jsonl"]}
    facts = card(here, decontaminate=decontaminate)
    cancel = [row for row in removed(here) if row[1] == "contaminated"]
    assert len(cancel) == facts["removed"]["contaminated"] == 1
    assert cancel[0][2] == "benchmarks" and facts["benchmark_texts"] == {"bench.jsonl": 1}
    kept = (here / "prepared" / "train.jsonl").read_text()
    assert "cancel my voucher" not in kept


def test_less_training_data_is_part_of_more(here: Path) -> None:
    def learnt(fraction: float) -> set[str]:
        card(here, split={"train_fraction": fraction})
        return {record.id for record in records.read(here / "prepared" / "train.jsonl")}

    assert learnt(0.3) < learnt(0.7) < learnt(1.0)


def test_rows_of_one_user_stay_on_one_side(here: Path) -> None:
    lines = ["text,label,user"]
    lines += [f"{text},{text.split()[3]},u{number % 6}" for number, text in enumerate(QUESTIONS)]
    (here / "raw" / "intent.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card(here, sources=[{**SOURCE, "columns": {"group": "user"}}])
    users = [
        {record.group for record in records.read(here / "prepared" / f"{name}.jsonl")}
        for name in ("train", "validation", "test")
    ]
    assert sum(map(len, users)) == len(set.union(*users)) == 6


def test_one_user_in_two_files_is_one(here: Path) -> None:
    for name, part in (("a.csv", QUESTIONS[::2]), ("b.csv", QUESTIONS[1::2])):
        lines = [f"{text},{text.split()[3]},u{at // 2}" for at, text in enumerate(part)]
        (here / "raw" / name).write_text("\n".join(["text,label,user", *lines]) + "\n")
    both = [{**SOURCE, "path": name, "columns": {"group": "user"}} for name in ("a.csv", "b.csv")]
    facts = card(here, sources=both)
    assert facts["near_duplicate_groups"] == 10
    sides: dict[str, set[str]] = {}
    for name in ("train", "validation", "test"):
        for record in records.read(here / "prepared" / f"{name}.jsonl"):
            sides.setdefault(record.group, set()).add(name)
    assert len(sides) == 10 and all(len(names) == 1 for names in sides.values())


def test_a_column_names_the_task_and_each_task_has_its_labels(here: Path) -> None:
    lines = ["text,label,task"]
    lines += [f"{text},{text.split()[3]},{text.split()[-1]}" for text in QUESTIONS]
    (here / "raw" / "intent.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    values = json.loads(parameters(sources=[{**SOURCE, "columns": {"task": "task"}}]))
    values["evaluate"]["suites"] = [
        {"task": "parcel?", "answer": "choice", "metrics": ["accuracy"]}
    ]
    (here / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    assert ran(here)[0] == 0
    labels = json.loads((here / "prepared" / "labels.json").read_text())
    assert labels == {f"{topic}?": sorted(VERBS) for topic in TOPICS}
    more = add(here, "more.csv", ("Where may my parcel be", "find"), ("Print it all", "print"))
    values["prepare"]["sources"] += [
        {
            **more,
            "format": "prompt_completion",
            "task": "parcel?",
            "columns": {"prompt": "text", "completion": "label"},
        }
    ]
    values["prepare"]["sources"][1]["labels"] = ""
    (here / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    assert ran(here)[0] == 0
    card = json.loads((here / "prepared" / "card.json").read_text())
    assert card["labels"]["parcel?"] == {verb: 1 + (verb in "find print") for verb in sorted(VERBS)}


def test_rows_of_low_quality_are_rejected_where_that_is_asked_for(here: Path) -> None:
    strict = {"max_repetition": 0.7, "length_ratio": [0.01, 100.0], "min_score": 0.9}
    with (here / "raw" / "intent.csv").open("a", encoding="utf-8") as stream:
        stream.write("find,find\n")
    assert card(here)["faults"]["copies_question"] == 1
    assert card(here, quality=strict)["rejected"] == {"low_quality": 1, "unknown_label": 1}


def test_many_rows_on_several_processes_give_the_bytes_of_one(here: Path) -> None:
    draw = [f"Question {chr(97 + n % 26)}{n} of {n % 977} about {n % 13}" for n in range(12_000)]
    (here / "raw" / "intent.csv").write_text(
        "\n".join(["text,label", *(f"{text},find" for text in draw)]) + "\n", encoding="utf-8"
    )
    assert ran(here, "many")[0] == 0
    affinity = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); "
    code = affinity + (
        "import sys, runpy; sys.argv = ['x', 'raw', 'one']; "
        "runpy.run_module('stages.prepare', run_name='__main__')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=here, check=True,
        env={**environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    for file in (here / "many").iterdir():
        assert file.read_bytes() == (here / "one" / file.name).read_bytes(), file.name


def test_a_label_studio_export_is_a_source_and_its_agreement_is_in_the_card(here: Path) -> None:
    export = (ROOT / "tests" / "data" / "label_studio_export.json").read_text("utf-8")
    (here / "raw" / "people.json").write_text(export, encoding="utf-8")
    people = {"path": "people.json", "format": "label_studio", "task": "intent", "slices": []}
    facts = card(here, sources=[SOURCE, {**people, "slices": ["language"]}])
    assert facts["rejected"] == {"annotators_disagree": 2, "unknown_label": 1}
    assert facts["agreement"] == {
        "people.json": {
            "annotators": 3, "tasks_answered_twice": 8, "krippendorff_alpha": 0.6524,
        },
    }  # fmt: skip


def processes_in(folder: Path) -> list[int]:
    """The ids of the processes that work there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found += [int(entry.name)] * ((entry / "cwd").readlink() == folder)
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stage_that_is_stopped_leaves_no_process_and_no_output(here: Path, number: int) -> None:
    rows = "\n".join(f"Question {n} of {n % 977},find" for n in range(150_000))
    (here / "raw" / "intent.csv").write_text(f"text,label\n{rows}\n", encoding="utf-8")
    stage = subprocess.Popen(
        [sys.executable, "-m", "stages.prepare", "raw", "prepared"],
        cwd=here, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(processes_in(here)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.random())  # wherever it is
    if number == signal.SIGINT:
        os.killpg(stage.pid, number)  # as a terminal does
    else:
        stage.send_signal(number)
    _, said = stage.communicate(timeout=60)
    assert stage.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in said
    deadline = time.monotonic() + 10
    while processes_in(here) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_in(here) == []
    if number != signal.SIGKILL:
        assert listing(here) == []


def test_the_behaviour_suites_of_the_docs_are_test_records_and_take_nothing_from_training(
    tmp_path: Path,
) -> None:
    docs = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(prepare:.*?)```", docs, flags=re.DOTALL)
    shown = YAML(typ="safe", pure=True).load(block)
    with_them = YAML(typ="safe", pure=True).load(REAL)
    without = copy.deepcopy(with_them)
    for section, key in (("prepare", "sources"), ("evaluate", "suites")):
        for one in shown[section][key]:
            assert one in without[section][key], "the docs show params.yaml"
            without[section][key].remove(one)
    without["evaluate"]["slices"].remove("behaviour")
    (tmp_path / "raw").symlink_to(ROOT / "data/raw")
    for values, out in ((without, "before"), (with_them, "prepared")):
        (tmp_path / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
        assert ran(tmp_path, out)[0] == 0
    for name in ("train", "validation"):
        before = (tmp_path / "before" / f"{name}.jsonl").read_bytes()
        assert (tmp_path / "prepared" / f"{name}.jsonl").read_bytes() == before
    rows = list(records.read(tmp_path / "prepared" / "test.jsonl"))
    chosen = [suites.Suite(**suite) for suite in shown["evaluate"]["suites"]]
    suites.check(rows, chosen, {})
    parts = {suite.task: [row for row in rows if row.task == suite.task] for suite in chosen}
    assert {task: len(part) for task, part in parts.items()} == {"behaviour": 50, "refusal": 28}
    given = [json.loads(line) for line in (ROOT / "data/raw/behaviour.jsonl").open("rb")]
    assert [row.answer for row in parts["behaviour"]] == [row["rules"] for row in given]
