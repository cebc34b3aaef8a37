"""Encoder-decoders are trained as transformers' Seq2SeqTrainer does, resumed and merged."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.merging import parity
from lockstep.models import loading, seq2seq
from lockstep.records import Record
from lockstep.training.training_plan import Plan
from tests.conftest import LABELS
from tests.seq2seq_models import PREFIX, WRITERS, make_translations

pytestmark = pytest.mark.slow

ADAPTERS = ("lora", "qlora", "adalora", "ia3", "bottleneck")


@pytest.fixture
def translations() -> list[Record]:
    """Records of both splits; a test may change them."""
    return make_translations()


@pytest.fixture
def make_records(translations: list[Record]) -> Callable[[str], list[Record]]:
    """Return translations or, for a classification, questions with a label."""

    def make(objective: str) -> list[Record]:
        if objective != "classification":
            return translations
        return [
            replace(record.with_answer(LABELS[number % 3]), task="intent")
            for number, record in enumerate(translations)
        ]

    return make


@pytest.mark.parametrize("name", WRITERS)
def test_losses_are_those_of_transformers(
    name: str, run_training: Callable[..., Any], seq2seq_bases: dict[str, Path], tmp_path: Path
):
    """Each step sees all rows, so that their order does not count."""
    from datasets import Dataset
    from transformers import (
        AutoModelForSeq2SeqLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
    )

    dropout = "dropout_rate" if "t5" in name else "dropout"
    rows, folder = make_translations(), seq2seq_bases[name]
    trainer = run_training(
        base=folder, strategy="full", learning_rate=1e-3, dropout={dropout: 0.0}, epochs=4.0,
        batch_size=len(rows), max_length=512, warmup=0.0, optimizer="adamw_torch",
        schedule="linear", evaluation_steps=1,
    )  # fmt: skip

    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(
        [f"{PREFIX}\n{row.question}" for row in rows], text_target=[row.answer for row in rows]
    )
    dataset = Dataset.from_dict(dict(encoded))
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, **{dropout: 0.0})
    plain = Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            str(tmp_path / "plain"), num_train_epochs=4, learning_rate=1e-3, logging_steps=1,
            per_device_train_batch_size=len(rows), per_device_eval_batch_size=len(rows),
            optim="adamw_torch", use_cpu=True, report_to="none", save_strategy="no", eval_steps=1,
            eval_strategy="steps", disable_tqdm=True,
        ),
        train_dataset=dataset,
        eval_dataset=dataset,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
    )  # fmt: skip
    plain.train()
    for metric in ("loss", "eval_loss"):
        losses, expected = (
            [entry[metric] for entry in history.state.log_history if metric in entry]
            for history in (trainer, plain)
        )
        assert len(losses) == 4
        assert losses == pytest.approx(expected, rel=2e-3)
        assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        *(("t5", strategy) for strategy in ADAPTERS),
        *((name, "lora") for name in WRITERS if name != "t5"),
    ],
)
def test_an_adapter_is_merged(
    name: str,
    strategy: str,
    run_training: Callable[..., Any],
    seq2seq_bases: dict[str, Path],
    tmp_path: Path,
):
    trainer = run_training(base=seq2seq_bases[name], strategy=strategy, learning_rate=1e-2)
    trainer.save_result(tmp_path / "adapter", 1.0)
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_2_SEQ_LM"
    prompts = parity.encode_prompts(
        loading.load_tokenizer(tmp_path / "adapter"), make_translations(), 4, with_targets=True
    )
    base = loading.load_model(seq2seq_bases[name], "float32", "eager", "cpu")
    before = parity.compute_logits(base, prompts)
    merged, _ = parity.merge_adapter(base, tmp_path / "adapter", prompts, 1e-3)
    after = parity.compute_logits(merged, prompts)
    assert parity.compute_largest_difference(before, after) > 0.01


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_freeze_trains_the_last_blocks_of_the_decoder(
    name: str, run_training: Callable[..., Any], seq2seq_bases: dict[str, Path]
):
    trainer = run_training(base=seq2seq_bases[name], strategy="freeze", epochs=0.5)
    trained = {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    parts = {name.partition("decoder.")[2] or name for name in trained}
    blocks = {name for name in parts if name.startswith(("block.1.", "layers.1."))}
    assert blocks
    if name == "t5":  # the output layer shares its matrix with the embeddings
        assert parts - blocks == {"shared.weight", "final_layer_norm.weight"}
    else:
        assert parts - blocks == {"model.shared.weight"}


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_a_killed_run_resumes_to_the_same_weights(
    strategy: str,
    run_training: Callable[..., Any],
    seq2seq_bases: dict[str, Path],
    tmp_path: Path,
    read_folder: Callable[[Path], dict[str, bytes]],
):
    settings: dict[str, Any] = {
        "base": seq2seq_bases["t5"], "strategy": strategy, "learning_rate": 1e-2,
        "evaluation_answers": 3, "evaluation_tokens": 6, "accumulation_steps": 2,
        "sft__weighting": "loss_ratio",
    }  # fmt: skip
    whole = run_training("whole", **settings)
    run_training("killed", killed_at=3, **settings)
    resumed = run_training("killed", **settings)
    assert resumed.resumed_from is not None
    for name, trainer in (("whole-out", whole), ("resumed-out", resumed)):
        trainer.save_result(tmp_path / name, 1.0)
    files = read_folder(tmp_path / "whole-out")
    assert files == read_folder(tmp_path / "resumed-out")
    assert any(file.endswith(".safetensors") for file in files)


def test_each_row_counts_equally_under_weighting_rows(
    run_training: Callable[..., Any], seq2seq_bases: dict[str, Path]
):
    import torch

    settings: dict[str, Any] = {
        "base": seq2seq_bases["t5"], "strategy": "full", "epochs": 1.0, "batch_size": 20,
        "dropout": {"dropout_rate": 0.0},
    }  # fmt: skip
    history = run_training("rows", sft__weighting="rows", **settings).state.log_history
    tokenizer = loading.load_tokenizer(seq2seq_bases["t5"])
    model = loading.load_model(seq2seq_bases["t5"], "float32", "eager", "cpu")
    losses = []
    for record in make_translations():
        pair = seq2seq.encode_pair(tokenizer, record, 512)
        with torch.no_grad():
            output = model(
                input_ids=torch.tensor([pair.source]), labels=torch.tensor([pair.target])
            )
        losses.append(float(output.loss))
    assert history[0]["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_each_target_token_counts_equally_in_accumulated_batches(
    run_training: Callable[..., Any], seq2seq_bases: dict[str, Path]
):
    settings: dict[str, Any] = {
        "base": seq2seq_bases["t5"], "epochs": 1.0, "dropout": {"dropout_rate": 0.0},
        "adapter__lora_dropout": 0.0,
    }  # fmt: skip
    at_once, accumulated = (
        run_training(f"batch-{rows}", batch_size=rows, accumulation_steps=20 // rows, **settings)
        for rows in (20, 2)
    )
    losses = [trainer.state.log_history[0]["loss"] for trainer in (at_once, accumulated)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_task_weights_multiply_the_loss(
    run_training: Callable[..., Any], seq2seq_bases: dict[str, Path]
):
    settings: dict[str, Any] = {"base": seq2seq_bases["t5"], "epochs": 0.2}
    once, twice = (
        run_training(folder, sft__task_weights=weights, **settings).state.log_history[0]["loss"]
        for folder, weights in (("once", {}), ("twice", {"translation": 2.0}))
    )
    assert twice == pytest.approx(2 * once, rel=1e-5)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_classification_measures_the_accuracy_of_its_head(
    name: str,
    run_training: Callable[..., Any],
    seq2seq_bases: dict[str, Path],
    make_records: Callable[[str], list[Record]],
):
    """Their models return the states of the encoder beside the outputs of the head."""
    import torch

    trainer = run_training(
        base=seq2seq_bases[name], objective="classification", strategy="full", epochs=1.0
    )
    metrics = [entry for entry in trainer.state.log_history if "eval_accuracy" in entry][-1]
    tokenizer, model = trainer.processing_class, trainer.model.eval()
    correct = 0
    for record in make_records("classification"):
        inputs = tokenizer(f"{PREFIX}\n{record.question}", return_tensors="pt")
        with torch.no_grad():
            best = int(model(**inputs).logits.argmax())
        correct += sorted(LABELS)[best] == record.answer
    assert metrics["eval_accuracy"] == pytest.approx(correct / len(make_translations()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "dpo"}, r"train\.objective: the base is an encoder-decoder, which dpo "),
        ({"objective": "reward"}, r"train\.objective: .* reward cannot train; set it to sft"),
        ({"strategy": "prompt"}, r"train\.strategy: .* prompt does not work with; set it to lora"),
        ({"strategy": "trainable_tokens"}, r"train\.strategy: .* trainable_tokens does not work"),
        ({"batching": "packed"}, r"train\.batching: .* set it to length"),
        ({"options": {"loss_type": "nll"}}, r"Seq2SeqTrainingArguments has no option loss_type"),
        (
            {"options": {"predict_with_generate": True}},
            r"train\.options\.predict_with_generate: the pipeline sets it",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_a_model_loads(
    changes: dict[str, Any],
    words: str,
    make_plan: Callable[..., Plan],
    seq2seq_bases: dict[str, Path],
):
    with pytest.raises(UserError, match=rf"^params\.yaml: {words}|^params\.yaml: .*{words}"):
        make_plan(base=seq2seq_bases["t5"], **changes)


def test_an_earlier_answer_cannot_be_in_the_loss(
    make_plan: Callable[..., Plan], seq2seq_bases: dict[str, Path], translations: list[Record]
):
    earlier = [{"role": "user", "content": "the"}, {"role": "assistant", "content": "das"}]
    record = translations[4]
    translations[4] = replace(record, messages=[*earlier, *record.messages[1:]])
    make_plan(base=seq2seq_bases["t5"])
    with pytest.raises(UserError, match=r"^s\.csv:5: .* set train\.sft\.loss_on: last$"):
        make_plan(base=seq2seq_bases["t5"], sft__loss_on="all")


def test_source_and_target_have_a_context_each(
    make_plan: Callable[..., Plan], seq2seq_bases: dict[str, Path], translations: list[Record]
):
    """The context of the tiny BART is 64; T5 has relative positions and no limit."""
    record = translations[0]
    messages = [{"role": "user", "content": "the" * 50}, record.messages[-1]]
    translations[:] = [replace(record, messages=messages).with_answer("das" * 50)]
    plan = make_plan(base=seq2seq_bases["bart"])
    (row,) = plan.train_rows.rows
    assert row.tokens == len(row.values["input_ids"]) + len(row.values["labels"]) > 64
    translations[:] = [replace(record, messages=messages).with_answer("das" * 70)]
    with pytest.raises(UserError, match=r"the longest row has 72 tokens, .* context is 64; lower"):
        make_plan(base=seq2seq_bases["bart"])
    make_plan(base=seq2seq_bases["t5"])
