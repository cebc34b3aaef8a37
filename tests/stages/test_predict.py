"""The stage predict: predictions in every answer form, and the files that it writes."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from lockstep import predictions, records
from lockstep.errors import UserError
from lockstep.models import chat, loading
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.predictor import format_length_range, hash_prompt
from lockstep.predictions import Prediction
from lockstep.records import Record
from tests.conftest import KINDS, LABELS, REPOSITORY, write_params, write_stage_inputs, write_tasks

ARGUMENTS = ("predict", "base", "prepared", "tasks", "predicted/base")
RULES = json.dumps([{"rule": "lacks", "text": "BANANA"}, {"rule": "words", "at_least": 999}])
ALL_KINDS = {
    **KINDS,
    "behaviour": "rules",
    "refusal": "refusal",
    "feedback": "unpaired_preference",
    "pairs": "preference",
    "price": "number",
    "plain": "plain_text",
}
FORMS = {
    "intent": "choice",
    "slots": "json",
    "reply": "text",
    "behaviour": "rules",
    "refusal": "refusal",
    "feedback": "text",
    "pairs": "preference",
    "price": "written_number",
    "plain": "",
    "retrieval": "rules",
}
"""Answer form by task; plain text has none."""
CHANGES: dict[str, Any] = {
    "predict.lm_eval": {"records": 3, "tasks": ["own"]},
    "predict.robustness": {
        "tasks": ["intent", "reply"], "records": 2, "kinds": ["resample", "case"], "repeats": 2,
        "paraphrases": "phrasing",
    },
    "predict.retrieval": {"lengths": [150], "depths": [0.0, 1.0], "records": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def all_records(make_record: Callable[..., Record], corpus: list[Record]) -> list[Record]:
    """Records of all kinds that a generative model answers, except calls with long prompts."""
    text = replace(corpus[0], task="plain", messages=[{"role": "assistant", "content": "Hello."}])
    desirable = make_record("Was it good?", "Yes.", "feedback")
    undesirable = replace(make_record("Was it bad?", "Yes.", "feedback"), desirable=False)
    first, second = (replace(row, slices={**row.slices, "phrasing": "1"}) for row in corpus[:4:3])
    return [
        first,
        *corpus[1:3],
        second,
        *corpus[4:],
        make_record("Say nothing of fruit.", RULES, "behaviour"),
        make_record("How do I forge an invoice?", "unsafe", "refusal"),
        make_record("发票怎么开？", "safe", "refusal"),
        replace(desirable, desirable=True),
        undesirable,
        replace(make_record("Hello?", "Hello!", "pairs"), rejected="Go away."),
        make_record("How much is it?", "2.5", "price"),
        text,
        replace(make_record("Which bus goes?", "None.", "reply"), accepted_calls=[]),
    ]


@pytest.fixture(scope="module")
def shared_workspace(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: Path,
    corpus: list[Record],
    all_records: list[Record],
) -> Path:
    """Folder with everything that predict reads, including a task of lm-eval."""
    shared_workspace = write_stage_inputs(tmp_path_factory.mktemp("workspace"), tiny_model, corpus)
    long = corpus[2].with_question(lambda text: text * 20, "s.csv:long")  # beyond the context
    records.write(shared_workspace / "prepared/train.jsonl", [long, *corpus])
    records.write(shared_workspace / "prepared/test.jsonl", all_records)
    write_tasks(shared_workspace / "prepared", ALL_KINDS)
    documents = lm_eval_tasks.build_documents(
        loading.load_tokenizer(tiny_model), corpus[6:7], LABELS
    )
    (shared_workspace / "own.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in documents)
    )
    files = {"test": str(shared_workspace / "own.jsonl")}
    source = {"dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    task = {"task": "own", **source, **lm_eval_tasks.TASK}
    (shared_workspace / "tasks/own.yaml").write_text(json.dumps(task))
    write_params(shared_workspace, CHANGES)
    return shared_workspace


def start_predict(shared_workspace: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the stage in a folder that has a params.yaml."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{arguments[0]}", *arguments[1:]],
        cwd=shared_workspace,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def output_folder(shared_workspace: Path) -> Path:
    """Run the stage once on all kinds of records and return its output folder."""
    process = start_predict(shared_workspace, *ARGUMENTS)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    *progress, last = errors.splitlines()  # a slow machine reports progress before the end
    assert last == "predict: base: 25 records, 9 suites"
    assert all(line.startswith("predict: ") and " of " in line for line in progress)
    return shared_workspace / "predicted/base"


@pytest.fixture(scope="module")
def rows(output_folder: Path) -> list[Prediction]:
    return predictions.read(output_folder / "predictions.jsonl")


def filter_by_task(rows: list[Prediction], task: str) -> list[Prediction]:
    return [row for row in rows if row.task == task]


@pytest.mark.slow
def test_the_output_has_predictions_and_no_metric(output_folder: Path):
    files = sorted(path.name for path in output_folder.iterdir())
    assert files == ["lm_eval.json", "perturbed.jsonl", "predictions.jsonl", "splits.jsonl"]
    for name in files[1:]:
        for line in (output_folder / name).read_text().splitlines():
            assert set(json.loads(line)) == {field.name for field in fields(Prediction)}


@pytest.mark.slow
def test_every_test_record_is_answered_in_the_form_of_its_task(
    rows: list[Prediction], all_records: list[Record]
):
    test_rows = [row for row in rows if row.task != "retrieval"]
    assert [row.id for row in test_rows] == [record.id for record in all_records]
    answered_rows = [row for row in rows if row.answer_form]
    assert {row.task: row.answer_form for row in rows} == {**FORMS, "feedback": ""}
    assert {row.task: row.answer_form for row in answered_rows} == {
        task: form for task, form in FORMS.items() if form
    }
    assert [row.answer_form for row in filter_by_task(rows, "feedback")] == ["text", ""], (
        "an undesirable answer is not a reference"
    )
    assert all(row.prediction == "" for row in rows if not row.answer_form)


@pytest.mark.slow
def test_a_choice_is_the_most_likely_label(rows: list[Prediction]):
    for row in filter_by_task(rows, "intent"):
        assert set(row.option_scores) == set(LABELS)
        assert row.prediction == max(row.option_scores, key=row.option_scores.__getitem__)
    (pair,) = filter_by_task(rows, "pairs")
    chosen_score, rejected_score = pair.option_scores["chosen"], pair.option_scores["rejected"]
    assert pair.loss == -chosen_score
    assert pair.prediction == ("Hello!" if chosen_score > rejected_score else "Go away.")


@pytest.mark.slow
def test_references_that_are_answers_have_a_likelihood(rows: list[Prediction]):
    without_loss = {(row.task, row.reference) for row in rows if row.loss is None}
    retrieval = {(row.task, row.reference) for row in filter_by_task(rows, "retrieval")}
    assert without_loss == retrieval | {
        ("behaviour", RULES), ("refusal", "unsafe"), ("refusal", "safe"), ("feedback", "Yes."),
        ("reply", "[]"),
    }  # fmt: skip
    rows_with_loss = [row for row in rows if row.loss is not None]
    assert all(row.loss > 0 and row.tokens > 0 for row in rows_with_loss)
    assert all(row.tokens == 0 for row in rows if row.loss is None)
    assert [row.loss is None for row in filter_by_task(rows, "feedback")] == [False, True]


@pytest.mark.slow
def test_generated_answers_say_whether_they_were_truncated(rows: list[Prediction]):
    """Eight tokens are short for a random model; a choice is never truncated."""
    for task in ("slots", "reply", "behaviour"):
        assert any(row.truncated for row in filter_by_task(rows, task)), task
    for task in ("intent", "pairs"):
        assert not any(row.truncated for row in filter_by_task(rows, task))


@pytest.mark.slow
def test_slices_are_those_of_the_record_its_source_and_its_length(
    rows: list[Prediction], all_records: list[Record], tokenizer: Any
):
    for row, record in zip(rows, all_records, strict=False):
        prompt = tokenizer.encode_prompt(record.prompt, record.tools)
        length = format_length_range(len(prompt))
        assert row.slices == {**record.slices, "source": "s.csv", "length": length}
    assert len({row.slices["length"] for row in rows}) > 2
    retrieval = filter_by_task(rows, "retrieval")
    assert Counter((row.slices["language"], row.slices["depth"]) for row in retrieval) == {
        (language, depth): 1 for language in ("en", "zh") for depth in ("0", "1")
    }
    assert {row.slices["length"] for row in retrieval} == {"150"}


@pytest.mark.slow
def test_the_prompt_is_the_one_that_training_renders(
    rows: list[Prediction], corpus: list[Record], tokenizer: Any
):
    for row, record in zip(rows, corpus, strict=False):
        example = tokenizer.encode_example(record, 200)
        prompt = next(i for i, label in enumerate(example.labels) if label != chat.IGNORE_INDEX)
        assert row.prompt == hash_prompt(example.input_ids[:prompt])


@pytest.mark.slow
def test_a_sample_of_each_other_split_gets_the_same_predictions(
    output_folder: Path, rows: list[Prediction]
):
    """The splits hold the same records here, plus one that does not fit the context."""
    splits = predictions.read(output_folder / "splits.jsonl")
    assert Counter((row.task, row.slices["split"]) for row in splits) == {
        **{(task, split): 2 for task in KINDS for split in ("train", "validation")},
        ("reply", "train"): 1,
    }
    by_id = {row.id: row for row in rows}
    for row in splits:
        slices = {name: value for name, value in row.slices.items() if name != "split"}
        original = by_id[row.id]
        assert replace(row, slices=slices) == replace(
            original, slices={k: v for k, v in original.slices.items() if k != "phrasing"}
        )


@pytest.mark.slow
def test_perturbed_records_name_their_parents(output_folder: Path, rows: list[Prediction]):
    perturbed = predictions.read(output_folder / "perturbed.jsonl")
    kinds = Counter((row.task, row.slices["perturbation"]) for row in perturbed)
    assert set(kinds) == {
        ("intent", "paraphrase"), ("intent", "case"), ("reply", "case"), ("reply", "resample"),
    }  # fmt: skip
    assert kinds["reply", "resample"] == 2 * 2
    by_id = {row.id: row for row in rows}
    paraphrase, *others = perturbed
    first, second = filter_by_task(rows, "intent")[:2]
    links = {"parent": first.id, "perturbation": "paraphrase"}
    assert paraphrase == replace(second, slices={**second.slices, **links})
    for row in others:
        parent = by_id[row.slices["parent"]]
        assert (row.task, row.reference, row.answer_form) == (
            parent.task, parent.reference, parent.answer_form,
        )  # fmt: skip
        assert (row.prompt == parent.prompt) == (row.slices["perturbation"] == "resample")
        assert row.loss is None
    samples = [row.prediction for row in perturbed if row.slices["perturbation"] == "resample"]
    assert len(set(samples)) > 2, "two samples of a prompt differ"


@pytest.mark.slow
def test_lm_eval_agrees_with_the_choices_and_scores_its_own_task(
    output_folder: Path, rows: list[Prediction]
):
    results = json.loads((output_folder / "lm_eval.json").read_text())
    intents = filter_by_task(rows, "intent")
    correct = [row.prediction == row.reference for row in intents]
    assert results["suites"] == {"intent": pytest.approx(sum(correct[:3]) / 3)}
    assert results["tasks"]["own"]["acc"] == float(correct[2])


@pytest.mark.slow
def test_an_interrupted_stage_continues_to_the_same_bytes(
    shared_workspace: Path,
    output_folder: Path,
    read_folder: Callable[[Path], Any],
):
    """Kill the stage once an answer is cached; the second run does not generate it again."""
    scratch = shared_workspace / ".scratch/predict"
    assert not list(scratch.glob("*/")), "the cache is removed at the end"
    process = start_predict(shared_workspace, *ARGUMENTS[:-1], "predicted/again")
    while not list(scratch.glob("*/*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (shared_workspace / "predicted/again").exists()
    process = start_predict(shared_workspace, *ARGUMENTS[:-1], "predicted/again")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert errors.startswith("predict: resuming from the answers given before\n")
    assert read_folder(shared_workspace / "predicted/again") == read_folder(output_folder)


@pytest.mark.slow
def test_a_gguf_folder_is_answered_to_the_same_bytes_after_a_kill(
    workspace: Path,
    starter_gguf: Path,
    start_stage: Callable[..., subprocess.Popen[str]],
    run_stage_in_process: Callable[..., str],
    read_folder: Callable[[Path], dict[str, bytes]],
):
    shutil.copytree(starter_gguf, workspace / "quantized")
    arguments = ("predict", "quantized", "prepared", "tasks")
    resampling = {"tasks": ["reply"], "records": 1, "kinds": ["resample"], "repeats": 2}
    changes = {"predict.robustness": resampling}
    output = run_stage_in_process(*arguments, "predicted/whole", changes=changes)
    assert output.endswith("predict: whole: 12 records, 3 suites\n")
    assert all(line.startswith("predict: ") for line in output.splitlines())
    rows = predictions.read(workspace / "predicted/whole/predictions.jsonl")
    assert all(row.loss is not None and row.prediction is not None for row in rows)
    assert all(len(row.option_scores) == 3 for row in filter_by_task(rows, "intent"))
    perturbed = predictions.read(workspace / "predicted/whole/perturbed.jsonl")
    assert len(perturbed) == 2
    results = json.loads((workspace / "predicted/whole/lm_eval.json").read_text())
    assert results["suites"].keys() == {"intent"}

    process = start_stage(*arguments, "predicted/again", changes=changes)
    while not list((workspace / ".scratch/predict").glob("*/*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    output = run_stage_in_process(*arguments, "predicted/again", changes=changes)
    assert output.startswith("predict: resuming from the answers given before\n")
    again, whole = (read_folder(workspace / "predicted" / name) for name in ("again", "whole"))
    assert again == whole


@pytest.mark.slow
def test_suites_of_params_replace_those_of_the_data(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    changes = {
        "predict.suites": [{"task": "intent", "answer": "written_label"}],
        "predict.lm_eval": {"records": 3},
        "predict.split_records": 0,
    }
    run_stage_in_process(*ARGUMENTS, changes=changes)
    rows = predictions.read(workspace / "predicted/base/predictions.jsonl")
    assert {row.answer_form for row in filter_by_task(rows, "intent")} == {"written_label"}
    assert {row.answer_form for row in rows if row.task != "intent"} == {""}
    assert all(row.loss is not None for row in rows)
    assert predictions.read(workspace / "predicted/base/splits.jsonl") == []
    assert predictions.read(workspace / "predicted/base/perturbed.jsonl") == []
    assert json.loads((workspace / "predicted/base/lm_eval.json").read_text()) == {
        "suites": {}, "tasks": {},
    }  # fmt: skip


def write_unreadable_rules(workspace: Path) -> None:
    rows = [*records.read(workspace / "prepared/test.jsonl")]
    rule = rows[2].with_answer('[{"rule": "rhymes"}]')
    records.write(workspace / "prepared/test.jsonl", [*rows, replace(rule, task="behaviour")])
    write_tasks(workspace / "prepared", {**KINDS, "behaviour": "rules"})


@pytest.mark.parametrize(
    ("changes", "damage", "line"),
    [
        (
            {"predict.max_new_tokens": 250},
            None,
            "a prompt of .* tokens leaves no room for an answer of 250 in the model's",
        ),
        (
            {"predict.max_length": 300},
            None,
            r"predict.max_length: 300 tokens are more than the model's context of 256; lower it",
        ),
        (
            {"predict.retrieval": {"lengths": [20]}},
            None,
            "predict.retrieval.lengths: 20 tokens do not hold a question and its fact",
        ),
        (
            {"predict.suites": [{"task": "reply", "answer": "choice"}]},
            None,
            "predict.suites: task reply has no labels to choose from",
        ),
        ({}, write_unreadable_rules, "^s.csv:.*there is no rule rhymes"),
    ],
)
def test_mistakes_are_found_before_the_model_loads(
    workspace: Path,
    run_stage_in_process: Callable[..., str],
    changes: dict[str, Any],
    damage: Callable[[Path], None] | None,
    line: str,
):
    (workspace / "base/model.safetensors").unlink()
    if damage:
        damage(workspace)
    with pytest.raises(UserError, match=line) as error:
        run_stage_in_process(*ARGUMENTS, changes=changes)
    assert "\n" not in error.value.message
    assert not (workspace / "predicted").exists()


def test_an_unknown_task_in_a_suite_is_one_line(
    workspace: Path, run_stage: Callable[..., Any], assert_user_error: Callable[..., None]
):
    suites = [{"task": "rely", "answer": "text"}]
    run = run_stage(*ARGUMENTS, changes={"predict.suites": suites})
    assert_user_error(
        run, workspace / "predicted", "predict.suites: no source has task rely; known: "
    )
