"""Files in the shape of IFEval and BFCL become suites by the entries that the docs show."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lockstep import records
from lockstep.cli.checks import reference_checks
from lockstep.metrics.registry import SCORES
from lockstep.records import Record
from lockstep.suites import read_tasks, resolve_suites
from tests.conftest import REPOSITORY
from tests.test_docs import list_blocks

HALL = {
    "name": "lamp.set",
    "description": "Set the brightness of a room's lamp.",
    "parameters": {
        "type": "dict",
        "properties": {"room": {"type": "string"}, "level": {"type": "float"}},
        "required": ["room", "level"],
    },
}
FILES: dict[str, list[dict[str, Any]]] = {
    "train.jsonl": [{"prompt": "Is the library open on Sunday?", "completion": "No."}],
    "validation.jsonl": [{"prompt": "Who repairs bicycles?", "completion": "Mr Quill."}],
    "input_data.jsonl": [
        {
            "key": 7,
            "prompt": "Praise rain in capital letters, under the title <<RAIN>>, and do not use "
            "the letter \u201cQ\u201d &amp; no comma.",
            "instruction_id_list": [
                "change_case:english_capital",
                "detectable_format:title",
                "keywords:letter_frequency",
                "punctuation:no_comma",
            ],
            "kwargs": [
                {},
                {"num_words": None, "relation": None},
                {"letter": "q", "let_frequency": 1, "let_relation": "less than"},
                {},
            ],
        }
    ],
    "BFCL_v4_simple_python.json": [
        {
            "id": "simple_python_0",
            "question": [[{"role": "user", "content": "Dim the hall to half."}]],
            "function": [HALL],
        }
    ],
    "possible_answer/BFCL_v4_simple_python.json": [
        {
            "id": "simple_python_0",
            "ground_truth": [{"lamp.set": {"room": ["hall", "the hall"], "level": [0.5]}}],
        }
    ],
    "BFCL_v4_irrelevance.json": [
        {
            "id": "irrelevance_0",
            "question": [[{"role": "user", "content": "Book me a train to Basel."}]],
            "function": [HALL],
        }
    ],
    "BFCL_v4_multi_turn_base.json": [
        {
            "id": "multi_turn_base_0",
            "question": [
                [{"role": "user", "content": "Make a folder for letters."}],
                [{"role": "user", "content": "Post that it is done."}],
            ],
            "initial_config": {},
            "path": ["GorillaFileSystem.mkdir"],
            "involved_classes": ["GorillaFileSystem", "TwitterAPI"],
        }
    ],
    "possible_answer/BFCL_v4_multi_turn_base.json": [
        {"id": "multi_turn_base_0", "ground_truth": [["mkdir('letters')"], ["post(text='Done')"]]}
    ],
    "multi_turn_func_doc/gorilla_file_system.json": [
        {
            "name": "mkdir",
            "description": "Make a folder.",
            "parameters": {"type": "dict", "properties": {"name": {"type": "string"}}},
        }
    ],
    "multi_turn_func_doc/posting_api.json": [
        {
            "name": "post",
            "description": "Post a text.",
            "parameters": {"type": "dict", "properties": {"text": {"type": "string"}}},
        }
    ],
}


def prepare(folder: Path, files: dict[str, list[dict[str, Any]]]) -> str:
    """Run prepare on files with the entries of docs/evaluation.md; return what it prints."""
    for name, rows in files.items():
        file = folder / "raw" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    yaml = YAML(typ="safe", pure=True)
    (block,) = (text for text in list_blocks("docs/evaluation.md", "yaml") if "ifeval" in text)
    sources = yaml.load(block)["prepare"]["sources"]
    params = yaml.load(REPOSITORY / "params.yaml")
    others = [
        {"path": f"{split}.jsonl", "format": "prompt_completion", "split": split, "task": "reply"}
        for split in ("train", "validation")
    ]
    params["prepare"] |= {"sources": [*others, *sources], "max_rejected_fraction": 0.0}
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "stages.prepare", "raw", "prepared"],
        cwd=folder, env={"PYTHONPATH": ":".join([str(REPOSITORY), *sys.path])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return result.stderr


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run prepare on the files and return its folder."""
    folder = tmp_path_factory.mktemp("benchmarks")
    messages = prepare(folder, FILES)
    assert "warning" not in messages
    assert "prepare: note: evaluate.domains: no record has the slice domain, so " in messages
    return folder / "prepared"


def read_records(folder: Path) -> dict[str, list[Record]]:
    """Return the test records by the file that they come from."""
    by_source: dict[str, list[Record]] = {}
    for record in records.read(folder / "test.jsonl"):
        by_source.setdefault(record.source, []).append(record)
    return by_source


def test_every_row_becomes_a_record_of_a_suite_that_predict_accepts(prepared: Path) -> None:
    tasks = read_tasks(prepared / "tasks.json")
    suites = resolve_suites([], tasks, "sft")
    assert [(suite.task, suite.answer) for suite in suites] == [
        ("bfcl", "calls"),
        ("ifeval", "rules"),
    ]
    by_source = read_records(prepared)
    numbers = {name.split(".")[0]: len(rows) for name, rows in by_source.items()}
    assert numbers == {
        "input_data": 1,
        "BFCL_v4_simple_python": 1,
        "BFCL_v4_irrelevance": 1,
        "BFCL_v4_multi_turn_base": 2,
    }
    test_records = [row for rows in by_source.values() for row in rows]
    reference_checks.check_suites(test_records, suites, {}, {})


def test_prompts_stay_as_they_are_published(prepared: Path) -> None:
    (record,) = read_records(prepared)["input_data.jsonl"]
    assert record.question == FILES["input_data.jsonl"][0]["prompt"]


@pytest.mark.parametrize(
    ("source", "answer", "score"),
    [
        ("input_data.jsonl", "<<RAIN>>\nRAIN IS THE MUSIC OF THE ROOF AND THE JOY OF FROGS.", 1),
        ("input_data.jsonl", "RAIN IS THE MUSIC OF THE ROOF AND THE JOY OF FROGS.", 0),
        ("BFCL_v4_simple_python.json", [("lamp.set", {"room": "The Hall", "level": 0.5})], 1),
        ("BFCL_v4_simple_python.json", [("lamp.set", {"room": "hall", "level": 1})], 0),
        ("BFCL_v4_irrelevance.json", "I cannot book trains.", 1),
        ("BFCL_v4_irrelevance.json", [("lamp.set", {"room": "hall", "level": 1})], 0),
        ("BFCL_v4_multi_turn_base.json", [("post", {"text": "done"})], 1),
        ("BFCL_v4_multi_turn_base.json", [("mkdir", {"name": "letters"})], 0),
    ],
)
def test_answers_are_scored(prepared: Path, source: str, answer: Any, score: float) -> None:
    """Of the record with several turns, the last turn is answered."""
    record = read_records(prepared)[source][-1]
    if not isinstance(answer, str):
        answer = json.dumps([{"name": name, "arguments": values} for name, values in answer])
    form: Any = "rules" if source == "input_data.jsonl" else "calls"
    assert SCORES[form](record.reference, answer) == score


def test_the_history_of_a_turn_has_the_right_calls_of_earlier_turns(prepared: Path) -> None:
    first, second = sorted(
        read_records(prepared)["BFCL_v4_multi_turn_base.json"], key=lambda row: row.origin
    )
    assert second.messages[:2] == first.messages
    assert [tool["function"]["name"] for tool in second.tools] == ["mkdir", "post"]


def test_prepare_names_a_rule_that_predict_will_refuse(tmp_path: Path) -> None:
    row = {**FILES["input_data.jsonl"][0], "instruction_id_list": ["count:verbs"], "kwargs": [{}]}
    printed = prepare(tmp_path, {**FILES, "input_data.jsonl": [row]})
    assert (
        "prepare: warning: predict will refuse 1 of 5 test records: input_data.jsonl:1: the "
        "reference is not a list of rules: 0: there is no rule count:verbs; correct it"
    ) in printed
