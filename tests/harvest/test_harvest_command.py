"""`make harvest` on a log: what is learnt, reviewed and left out, and how `prepare` reads it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from lockstep import outputs, records
from lockstep.harvest.__main__ import main
from lockstep.records import Record
from tests.harvest import examples
from tests.harvest.examples import read_lines, run_harvest

EXPORTS = Path(__file__).parent / "exports"
"""Exports of Label Studio 1.23.2: the review projects of the example were imported there, and three
tasks answered, one corrected and one skipped by its HTTP API."""

LEFT_OUT = {
    "completion": "not_a_conversation",
    "call": "has_tools",
    "unsampled": "texts_not_logged",
    "rotated-away": "request_not_logged",
    "liked": "thumb_up",
    "well": "not_rated_low",
    "contradiction": "contradicts_training",
    "learnt-already": "duplicate",
    "tested": "contaminated",
    "nearly-tested": "contaminated",
    "that-way": "duplicate",
}
REVIEW = {
    "intent": {
        "disliked": "thumb_down",
        "no-label": "unknown_label",
        "this-way": "conflicting_corrections",
    },
    "reply": {"number": "placeholder_in_answer", "badly": "low_score"},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("harvest") / "project"
    examples.write_project(folder)
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to a copy of the project."""
    shutil.copytree(prepared, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def succeed(*options: str) -> str:
    result = run_harvest(*options)
    assert result.exit_code == 0, result.output
    return result.output


def read_left_out(out: Path) -> dict[str, str]:
    return {row["request_id"]: row["reason"] for row in read_lines(out / "left_out.jsonl")}


def read_learnt(out: Path, file: str = "corrections.jsonl") -> dict[str, Any]:
    return {row["id"]: row for row in read_lines(out / file)}


def read_tasks(out: Path, task: str) -> dict[str, Any]:
    tasks = json.loads((out / "review" / task / "tasks.json").read_text("utf-8"))
    return {task["data"]["request"]: task for task in tasks}


def test_each_request_is_learnt_reviewed_or_left_out(project: Path) -> None:
    output = succeed()
    out = project / "out"
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()) == [
        "card.json", "corrections.jsonl", "left_out.jsonl", "review/intent/config.xml",
        "review/intent/tasks.json", "review/reply/config.xml", "review/reply/tasks.json",
        "source.yaml",
    ]  # fmt: skip
    assert [*read_learnt(out)] == ["corrected", "mail", "turns"]
    assert read_left_out(out) == LEFT_OUT
    for task, reasons in REVIEW.items():
        remarks = {name: t["data"]["remark"] for name, t in read_tasks(out, task).items()}
        assert {name: text.split()[1] for name, text in remarks.items()} == reasons
    card = json.loads((out / "card.json").read_text("utf-8"))
    assert card["requests"] == len(examples.FEEDBACK)
    assert card["learnt"] == {"corrected": 3} and card["with_placeholders"] == 1
    assert "19 requests with feedback: 3 (3 corrected) to learn from, 5 (" in output
    assert "cp out/corrections.jsonl data/raw/out.jsonl" in output
    assert (out / "source.yaml").read_text("utf-8").strip() in output


def test_places_of_causes_are_named(project: Path) -> None:
    succeed()
    causes = {row["request_id"]: row for row in read_lines(project / "out/left_out.jsonl")}
    assert causes["learnt-already"]["because_of"] == "train: tickets_train.jsonl:1"
    assert causes["nearly-tested"]["because_of"] == "test: tickets_test.jsonl:1"
    assert "near_duplicate of the test record" in causes["nearly-tested"]["detail"]
    assert causes["contradiction"]["because_of"] == "train: tickets_train.jsonl:3"
    assert causes["that-way"]["because_of"] == "this-way"


def test_the_system_message_of_training_is_restored(project: Path) -> None:
    """Its masked number is known, so that the model learns the message that it will see."""
    succeed()
    assert read_learnt(project / "out")["mail"] == {
        "id": "mail",
        "task": "reply",
        "messages": [
            {"role": "system", "content": examples.SHOP},
            {"role": "user", "content": "Write to [EMAIL] when it is back"},
            {"role": "assistant", "content": "I will write to [EMAIL]."},
        ],
    }


def test_earlier_answers_of_the_model_are_not_learnt(project: Path) -> None:
    succeed()
    turns = read_learnt(project / "out")["turns"]["messages"]
    assert [(turn["role"], turn.get("weight")) for turn in turns[1:]] == [
        ("user", None), ("assistant", 0), ("user", None), ("assistant", None)
    ]  # fmt: skip


def learn(project: Path, out: str = "out") -> list[Record]:
    """Add the harvest to the sources, prepare the data again, and return the new records."""
    (entry,) = YAML(typ="safe", pure=True).load(project / out / "source.yaml")
    shutil.copy(next((project / out).glob("*s.jsonl")), project / "data/raw" / entry["path"])
    values = examples.read_params(project)
    values["prepare"]["sources"].append(entry)
    (project / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    examples.prepare(project)
    train = records.read(project / "data/prepared/train.jsonl")
    return [record for record in train if record.source == entry["path"]]


def test_prepare_reads_the_source_and_leaves_the_tests_alone(project: Path) -> None:
    succeed()
    held_out = [project / "data/prepared" / f"{split}.jsonl" for split in ("validation", "test")]
    before = [file.read_bytes() for file in held_out]
    learnt = learn(project)
    assert [(record.task, record.answer) for record in learnt] == [
        ("intent", "refund"), ("reply", "I will write to [EMAIL]."),
        ("reply", "Your order 77 is on its way."),
    ]  # fmt: skip
    assert [file.read_bytes() for file in held_out] == before
    assert not read_lines(project / "data/prepared/rejected.jsonl")
    tasks = json.loads((project / "data/prepared/tasks.json").read_text("utf-8"))
    assert tasks["intent"]["kind"] == "label"

    succeed("--out", "again")
    assert not (project / "again/corrections.jsonl").exists()
    assert read_left_out(project / "again")["corrected"] == "duplicate"
    add_request(project, "Half of it is missing", correction="refund")
    succeed("--out", "third")
    assert [*read_learnt(project / "third")] == ["new"]
    assert "round: 2" in (project / "third/source.yaml").read_text("utf-8")


def test_answers_of_a_review_are_learnt(project: Path) -> None:
    succeed()
    for task in REVIEW:
        exported = json.loads((EXPORTS / f"{task}.json").read_text("utf-8"))
        written = read_tasks(project / "out", task).values()
        assert [entry["data"] for entry in exported] == [entry["data"] for entry in written]
    succeed("--out", "second", "--reviewed", str(EXPORTS))
    learnt = read_learnt(project / "second")
    answers = {name: row["messages"][-1]["content"] for name, row in learnt.items()}
    assert answers == {
        "corrected": "refund",
        "disliked": "refund",
        "this-way": "refund",
        "number": "Call +49 30 901820.",
        "mail": "I will write to [EMAIL].",
        "badly": "Good morning! How can I help?",
        "turns": "Your order 77 is on its way.",
    }
    left_out = read_left_out(project / "second")
    assert left_out["no-label"] == "not_annotated"
    assert left_out["that-way"] == "conflicting_corrections"
    assert not (project / "second/review").exists()


def test_a_review_outlives_the_log(project: Path) -> None:
    for file in (project / "log").glob("requests.jsonl*"):
        file.unlink()
    succeed("--reviewed", str(EXPORTS / "reply.json"))
    assert [*read_learnt(project / "out")] == ["number", "badly"]
    assert read_left_out(project / "out")["disliked"] == "request_not_logged"
    for file in (project / "log").iterdir():
        file.unlink()
    succeed("--reviewed", str(EXPORTS / "reply.json"), "--out", "again")
    assert [*read_learnt(project / "again")] == ["number", "badly"]


def test_a_review_replaces_what_the_log_lacks(project: Path) -> None:
    for file in (project / "log").glob("requests.jsonl*"):
        file.unlink()
    succeed("--reviewed", str(EXPORTS))
    names = [row["request_id"] for row in read_lines(project / "out/left_out.jsonl")]
    assert len(names) + 4 == len(examples.FEEDBACK)
    assert read_left_out(project / "out")["no-label"] == "not_annotated"


def test_the_review_shows_the_conversation_and_a_suggestion(project: Path) -> None:
    succeed()
    task = read_tasks(project / "out", "intent")["disliked"]
    assert task["data"]["text"] == "system: Name the intent.\nuser: hello, is a human there?"
    assert "comment: odd, ask me at [EMAIL]" in task["data"]["remark"]
    assert task["predictions"][0]["model_version"] == "tuned"
    assert task["predictions"][0]["result"][0]["value"] == {"choices": ["cancel"]}
    corrected = read_tasks(project / "out", "reply")["number"]["predictions"][0]
    assert corrected["model_version"] == "correction"
    assert corrected["result"][0]["value"] == {"text": ["Call [TELEPHONE]."]}
    config = ElementTree.parse(project / "out/review/intent/config.xml").getroot()  # noqa: S314  # written here
    assert [tag.get("value") for tag in config.iter("Choice")] == ["cancel", "refund", "track"]
    assert [tag.get("value") for tag in config.iter("Text")] == ["$text", "$remark"]


def test_options_change_what_is_learnt_and_reviewed(project: Path) -> None:
    succeed("--accept", "--low-score", "0", "--task", "reply")
    out = project / "out"
    assert read_learnt(out)["liked"]["messages"][-1]["content"] == "You are welcome."
    assert {row["task"] for row in read_learnt(out).values()} == {"reply"}
    left_out = read_left_out(out)
    assert left_out["badly"] == "not_rated_low"
    assert left_out["tested"] == "contaminated"  # whatever its task is


def test_preferences_are_pairs_of_correction_and_answer(project: Path) -> None:
    sources = examples.read_params(project)["prepare"]["sources"]
    examples.write_params(project, "dpo", sources=sources)
    succeed()
    row = read_learnt(project / "out", "preferences.jsonl")["turns"]
    assert row["chosen"][0]["content"] == "Your order 77 is on its way."
    assert row["rejected"][0]["content"] == "What order?"
    pairs = {record.question: record.rejected for record in learn(project)}
    assert pairs["My order 77"] == "What order?"
    assert pairs["It is the wrong size"] == "track"


def test_the_bytes_are_the_same_and_nothing_is_overwritten(project: Path) -> None:
    succeed()
    (project / "again").mkdir()
    succeed("--out", "again/out")
    assert outputs.hash_path(project / "out") == outputs.hash_path(project / "again/out")
    result = run_harvest()
    assert result.exit_code == 2 and "out: exists; move it away" in result.output


def test_defaults_of_sources_that_do_not_suit_are_overridden(project: Path) -> None:
    """No request has the slice, so `prepare` would refuse a source that names it."""
    sources = examples.read_params(project)["prepare"]["sources"]
    defaults = {"slices": ["channel"], "constants": {"channel": "mail"}, "weight": 2.0}
    examples.write_params(project, source_defaults=defaults, sources=sources)
    succeed()
    learnt = learn(project)
    assert len(learnt) == 3
    assert [(record.slices, record.weight) for record in learnt] == [({}, 2.0)] * 3


def test_placeholders_are_learnt_where_prepare_writes_them(project: Path) -> None:
    sources = examples.read_params(project)["prepare"]["sources"]
    add_request(project, "Where do I write to?", correction="To shop@example.com.")
    succeed("--task", "reply")
    assert "new" not in read_learnt(project / "out")
    examples.write_params(project, sources=sources, clean=["personal_data", "space"])
    succeed("--task", "reply", "--out", "again")
    assert read_learnt(project / "again")["new"]["messages"][-1]["content"] == "To [EMAIL]."


def add_request(project: Path, question: str, answer: str = "No.", **feedback: Any) -> None:
    """Append a request of the id `new` to the log, with feedback on it."""
    turns = [{"role": "system", "content": examples.INTENT}, {"role": "user", "content": question}]
    request = {"request_id": "new", "messages": turns, "answer": answer}
    if feedback.pop("truncated", False):
        request["finish_reason"] = "length"
    for name, line in ("requests", request), ("feedback", {"request_id": "new", **feedback}):
        with (project / f"log/{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def test_prepared_texts_are_compared_with_masks(project: Path) -> None:
    """The log has masks where the prepared data, which are not masked here, have addresses."""
    file = project / "data/prepared/test.jsonl"
    first, *others = records.read(file)
    question = "Write me to ann@example.com about order 77"
    records.write(file, [first.with_question(lambda _: question, first.origin), *others])
    values = examples.read_params(project)
    values["serving"]["log_patterns"] = ["order [0-9]+"]
    (project / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    add_request(project, "Write me to [EMAIL] about [MASKED]", correction="refund")
    succeed()
    assert read_left_out(project / "out")["new"] == "contaminated"


def test_benchmarks_are_protected(project: Path) -> None:
    text = " ".join(f"word{number}" for number in range(25))
    (project / "data/raw/benchmark.jsonl").write_text(json.dumps({"question": text}))
    add_request(project, f"Please: {text}", correction="refund")
    succeed()
    assert "new" in read_learnt(project / "out")
    values = examples.read_params(project)
    values["prepare"]["decontaminate"] = {"benchmarks": ["benchmark.jsonl"]}
    (project / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    succeed("--out", "again")
    (row,) = (r for r in read_lines(project / "again/left_out.jsonl") if r["request_id"] == "new")
    assert (row["reason"], row["because_of"]) == ("contaminated", "benchmark.jsonl:1")


@pytest.mark.parametrize(
    ("answer", "truncated", "reason"),
    [
        ("refund", False, ""),
        ("refund", True, "answer_truncated"),
        ("", False, "no_answer"),
        ("my money", False, "unknown_label"),
    ],
)
def test_liked_answers_must_be_whole_and_suit_their_task(
    project: Path, answer: str, truncated: bool, reason: str
) -> None:
    add_request(project, "Half of it is missing", answer, thumb="up", truncated=truncated)
    succeed("--accept")
    assert ("new" in read_learnt(project / "out")) == (not reason)
    assert read_left_out(project / "out").get("new", "") == reason


def test_an_answer_that_is_no_label_is_no_suggestion(project: Path) -> None:
    add_request(project, "Half of it is missing", "Well,", thumb="down")
    succeed()
    tasks = read_tasks(project / "out", "intent")
    assert "predictions" in tasks["disliked"] and "predictions" not in tasks["new"]


def test_rows_that_prepare_would_reject_are_left_out(project: Path) -> None:
    add_request(project, "\u200b", correction="refund")
    succeed()
    assert read_left_out(project / "out")["new"] == "empty_after_cleaning"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("log/feedback.jsonl", "", "no feedback in feedback.jsonl"),
        ("log/feedback.jsonl", '{"thumb": "up"}', "feedback.jsonl: entry 2: request_id is missing"),
        ("log/requests.jsonl", '{"messages": 3}', "requests.jsonl: entry 8: messages is missing"),
        ("data/prepared/train.jsonl", "{}", "train.jsonl:1: not a record"),
        ("data/prepared/tasks.json", None, "tasks.json: not found; run `dvc repro prepare`"),
        ("export.json", '[{"id": 1, "data": {"text": "a"}, "annotations": []}]', "no task of a"),
        ("export.yaml", "[]", "export.yaml: no export as JSON; export the project as JSON"),
    ],
)
def test_mistakes_are_one_line(project: Path, file: str, text: str | None, message: str) -> None:
    if text is None:
        (project / file).unlink()
    else:
        (project / file).write_text(text, encoding="utf-8")
    if text == "":
        (project / "log/feedback.jsonl.1").unlink()
    options = ["--reviewed", file] if file.startswith("export") else []
    result = run_harvest(*options)
    assert result.exit_code == 2 and message in result.output, result.output
    assert not (project / "out").exists()


def test_the_log_of_the_gateway_is_the_default(project: Path) -> None:
    values = examples.read_params(project)
    values["serving"]["log_folder"] = "log"
    (project / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    arguments = ["data/raw", "data/prepared", "--out", "out"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert (project / "out/card.json").exists()


def test_what_is_not_named_is_named_by_the_message(project: Path) -> None:
    values = examples.read_params(project)
    values["serving"]["log_folder"] = None
    (project / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
    result = CliRunner().invoke(main, ["data/raw", "data/prepared", "--out", "out"])
    assert "serving.log_folder: the gateway keeps no log" in result.output
    result = CliRunner().invoke(main, ["data/raw", "data/prepared", "--log", "log"])
    assert "name a new one: OUT=build/harvest-1" in result.output
