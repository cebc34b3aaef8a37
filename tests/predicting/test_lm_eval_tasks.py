"""lm-eval as a second opinion, on exported suites, and on tasks of its own."""

import json
import logging
import sys
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.inference import likelihood
from lockstep.models.chat import ChatTokenizer
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.lm_eval_tasks import LmEvalParams
from lockstep.records import Record

LABELS = ["cancel_order", "track", "refund my order", "other"]


@pytest.mark.slow
def test_lm_eval_agrees_on_the_same_records(
    loaded_model: Any,
    tokenizer: Any,
    make_record: Callable[..., Record],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO, "lm_eval")
    rows = [make_record(f"{'请问 ' * (i % 4)}order {i}?", LABELS[i % 4]) for i in range(40)]
    prompts = [tokenizer.encode_prompt(row.prompt) for row in rows]
    choices = [tokenizer.encode_answer(label) for label in LABELS]
    scores = likelihood.score_choices(loaded_model, prompts, choices, 8)
    predicted = [LABELS[row.index(max(row))] for row in scores]
    # every second reference becomes the prediction, so that the accuracy is neither 0 nor 1
    rows = [
        make_record(row.question, predicted[i] if i % 2 else row.answer)
        for i, row in enumerate(rows)
    ]
    correct = sum(row.answer == label for row, label in zip(rows, predicted, strict=True))
    assert 0 < correct < len(rows)
    model = lm_eval_tasks.wrap_model(loaded_model, tokenizer, 8)
    accuracy = lm_eval_tasks.measure_accuracy(model, tokenizer, rows, LABELS)
    assert accuracy == pytest.approx(correct / len(rows))
    assert "--metadata" not in caplog.text, "lm-eval's hints about its command line are hidden"


def make_params(*tasks: str, limit: int = 0) -> LmEvalParams:
    return LmEvalParams(records=0, tasks=list(tasks), limit=limit)


@pytest.mark.slow
def test_an_exported_suite_has_the_same_accuracy_on_lm_eval_s_command_line(
    tiny_model: Path,
    loaded_model: Any,
    tokenizer: Any,
    make_record: Callable[..., Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Compare `lm_eval` on the command line, the stage's call of lm-eval, and our own scoring.

    The command runs within this process and does not index lm-eval's own tasks, which takes half a
    minute.
    """
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.tasks import TaskManager

    rows = [make_record(f"{'请问 ' * (i % 4)}order {i}?", LABELS[i * i % 4]) for i in range(24)]
    lm_eval_tasks.write_task(tmp_path, tmp_path, "own", tokenizer, rows, LABELS)
    model = lm_eval_tasks.wrap_model(loaded_model, tokenizer, 8)
    accuracy = lm_eval_tasks.measure_accuracy(model, tokenizer, rows, LABELS)
    results = lm_eval_tasks.run_tasks(model, make_params("own"), tmp_path)
    assert results["own"]["acc"] == accuracy
    assert results["own"]["acc_stderr"] >= 0
    limited = make_params("own", limit=3)
    limited_results = lm_eval_tasks.run_tasks(model, limited, tmp_path)
    assert limited_results["own"]["acc"] * 3 == pytest.approx(
        round(limited_results["own"]["acc"] * 3)
    )
    arguments = [
        *("lm_eval", "run", "--model", "hf", "--tasks", "own"),
        *("--model_args", f"pretrained={tiny_model},dtype=float32", "--device", "cpu"),
        *("--include_path", str(tmp_path), "--batch_size", "8"),
        *("--output_path", str(tmp_path / "out")),
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    without_defaults = partialmethod(TaskManager.__init__, include_defaults=False)
    monkeypatch.setattr(TaskManager, "__init__", without_defaults)
    cli_evaluate()
    (file,) = (tmp_path / "out").rglob("results_*.json")
    assert json.loads(file.read_text())["results"]["own"]["acc,none"] == accuracy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "line"),
    [
        (["helaswag"], "lm-eval has no helaswag; `lm_eval ls tasks` lists them"),
        (["own"], "own: data does not load"),
    ],
)
def test_a_task_that_cannot_run_is_refused(
    tasks: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    manager = lm_eval_tasks._build_task_manager
    monkeypatch.setattr(
        lm_eval_tasks,
        "_build_task_manager",
        lambda folder, **_: manager(folder, with_defaults=False),
    )
    source = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "gone.jsonl"}}}
    (tmp_path / "own.yaml").write_text(json.dumps({"task": "own", **source, **lm_eval_tasks.TASK}))
    with pytest.raises(UserError, match=line) as error:
        lm_eval_tasks.check_tasks(make_params(*tasks), tmp_path)
    assert "\n" not in error.value.message


def build_sentencepiece_tokenizer() -> ChatTokenizer:
    """Return a tokenizer as Mistral v0.3 has: a space before a word is part of its token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    core.decoder = decoders.Metaspace(prepend_scheme="first")
    texts = ["where is my order track other refund the cancel " * 3]
    core.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=90, special_tokens=["<unk>", "<s>", "</s>"])
    )
    pretrained = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    pretrained.add_tokens([AddedToken(mark, special=True) for mark in ("[INST]", "[/INST]")])
    pretrained.chat_template = (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
        "[INST] {{ m['content'] }}[/INST]"
        "{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    )
    return ChatTokenizer(pretrained)


def test_lm_eval_reads_the_tokens_that_were_trained(
    loaded_model: Any, make_record: Callable[..., Record]
):
    """It encodes prompt and answer together, and `T` was read where `▁T` was trained."""
    from lm_eval.models.huggingface import HFLM

    tokenizer = build_sentencepiece_tokenizer()
    scorer = HFLM(pretrained=loaded_model, tokenizer=tokenizer.pretrained)
    record = make_record("where", "track")
    (document,) = lm_eval_tasks.build_documents(tokenizer, [record], ["track", "other"])
    prompt, answer = tokenizer.encode_record(record)
    assert scorer._encode_pair(document["prompt"], document["choices"][0]) == (prompt, answer)
    assert tokenizer.encode_answer("track") == answer
    assert tokenizer.pretrained.convert_ids_to_tokens(answer)[0].startswith("▁")
