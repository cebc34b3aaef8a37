"""Options of libraries are told wrong in one line each, before any model is loaded."""
# ruff: noqa: E501 - a table, one case a line

import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trl

from lockstep.errors import UserError
from lockstep.training import adapters, trainer_arguments
from stages.train import Params

Chosen = Callable[..., Params]


def refusal(parameters: Params) -> str:
    """What is said of them."""
    with pytest.raises(UserError) as refused:
        trainer_arguments.build(parameters.train, 7, "cpu", Path())
        adapters.configuration(parameters.train, parameters.strategies, Path())
        adapters.learning_rate_ratio(parameters.train, parameters.strategies)
        adapters.double_quantization(parameters.strategies)
    return str(refused.value.message)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"options": {"neftune_noise": 5.0}}, "train.options.neftune_noise: no option of SFTConfig; did you mean neftune_noise_alpha?"),
        ({"options": {"adam_beta1": "high"}}, "train.options.adam_beta1: should be a valid number, not 'high'"),
        ({"options": {"learning_rate": 1.0}}, "train.options.learning_rate: the pipeline sets it; leave it out"),
        ({"options": {"push_to_hub": True}}, "train.options.push_to_hub: the pipeline sets it; leave it out"),
        ({"options": {"beta": 0.1}}, "train.options.beta: no option of SFTConfig"),
        ({"schedule": "cosin"}, "train.schedule: no 'cosin' in transformers; did you mean cosine?"),
        ({"schedule": "warmup_stable_decay"}, "train.schedule, train.options.lr_scheduler_kwargs: warmup_stable_decay: get_wsd_schedule() missing 1 required positional argument: 'num_decay_steps'"),
        ({"schedule": "cosine_with_min_lr"}, "train.schedule, train.options.lr_scheduler_kwargs: cosine_with_min_lr: One of min_lr or min_lr_rate should be set"),
        ({"schedule": "polynomial", "options": {"lr_scheduler_kwargs": {"lr_end": 1.0}}}, "train.schedule, train.options.lr_scheduler_kwargs: polynomial: lr_end (1.0) must be smaller"),
        ({"schedule": "polynomial", "options": {"lr_scheduler_kwargs": {"power": "2"}}}, "train.schedule, train.options.lr_scheduler_kwargs: polynomial: unsupported operand"),
        ({"schedule": "linear", "options": {"lr_scheduler_kwargs": {"num_cycles": 2}}}, "train.schedule, train.options.lr_scheduler_kwargs: linear: get_linear_schedule_with_warmup() got an unexpected"),
        ({"optimizer": "adam"}, "train.optimizer: no 'adam' in transformers; did you mean"),
        ({"optimizer": "galore_adamw"}, "train.optimizer, train.options: galore_adamw: You need to install `galore_torch`"),
        ({"objective": "dpo", "options": {"loss_type": ["sigmoid", "ipso"]}}, "train.options.loss_type: no 'ipso' for dpo; known: sigmoid, hinge"),
        ({"objective": "grpo", "options": {"loss_type": "kto", "num_generations": 4}}, "train.options.loss_type: no 'kto' for grpo; known: grpo, bnpo"),
        ({"options": {"use_liger_kernel": True}}, "train.options.use_liger_kernel: install liger-kernel first"),
        ({"options": {"adam_beta1": 2.0}}, "train.optimizer, train.options: adamw_torch_fused: Invalid beta parameter"),
        ({"options": {"dataloader_num_workers": -1}}, "train.options.dataloader_…: num_workers option should be non-negative"),
        ({"schedule": "greedy"}, "train.schedule: greedy follows evaluations"),
        ({"precision": "fp16"}, "train.precision: fp16 needs a GPU; take fp32 or bf16"),
        ({"strategies.lora": {"rank": 4}}, "strategies.lora.rank: no option of LoraConfig"),
        ({"strategies.lora": {"r": "four"}}, "strategies.lora.r: should be a valid integer, not 'four'"),
        ({"strategies.lora": {"task_type": "SEQ_CLS"}}, "strategies.lora.task_type: the objective decides it; leave it out"),
        ({"strategies.lora": {"loraplus_lr_ratio": "x"}}, "strategies.lora.loraplus_lr_ratio: must be a number from 1 on"),
        ({"strategies.lora": {"init_lora_weights": "loftq"}}, "strategies.lora.init_lora_weights: loftq needs data of its own"),
        ({"strategy": "qlora", "strategies.qlora": {"init_lora_weights": "pissa"}}, "strategies.qlora.init_lora_weights: pissa changes"),
        ({"strategy": "qlora", "strategies.qlora": {"double_quantization": 1}}, "strategies.qlora.double_quantization: true or false, not 1"),
        ({"strategy": "ia3", "strategies.ia3": {"r": 4}}, "strategies.ia3.r: no option of IA3Config"),
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_the_library_does_not_take(
    chosen: Chosen, changes: dict[str, Any], line: str
):
    said = refusal(chosen(**changes))
    assert said.startswith(f"params.yaml: {line}"), said
    assert "\n" not in said


def test_all_mistakes_at_once(chosen: Chosen):
    said = refusal(chosen(options={"bete": 1, "adam_beta1": "x", "seed": 3}))
    assert len(said.splitlines()) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "dpo", "batching": "packed"}, "batching: packed is for sft"),
        ({"strategy": "prompt", "batching": "packed"}, "no start for the vectors of prompt"),
        ({"strategy": "prefix", "activation_checkpointing": True}, "prefix keeps its vectors"),
        ({"strategy": "prompt", "objective": "grpo"}, "prompt does not go with grpo; take lora"),
        ({"strategy": "trainable_tokens", "objective": "dpo"}, "goes with sft alone, not dpo"),
        ({"objective": "regression", "evaluation_answers": 5}, "regression writes none"),
        ({"early_stopping.patience": 3, "evaluation_steps": 0}, "set evaluation_steps"),
        ({"early_stopping.patience": 3, "early_stopping.metric": "f1"}, "f1 is not measured for sft"),
        ({"sft.weighting": "uncertainty", "sft.task_weights": {"a": 1.0}}, "finds them itself"),
        ({"sft.task_weights": {"a": 2.0}, "batching": "packed"}, "packed rows mix tasks"),
        ({"sft.weighting": "uncertainty", "strategy": "adalora"}, "without task weights; take lora"),
        ({"sft.task_weights": {"a": 2.0}, "options": {"loss_type": "dft"}}, "of loss_type nll alone"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_combined(chosen: Chosen, changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        chosen(**changes)


def test_what_the_library_refuses_only_with_the_model(trained: Callable[..., Any]):
    with pytest.raises(
        UserError, match="`r` should be a positive integer value but the value passed"
    ):
        trained(strategies__lora={"r": 0, "target_modules": "all-linear"})


def test_more_frozen_layers_than_there_are(plan: Callable[..., Any], trained: Callable[..., Any]):
    with pytest.raises(
        UserError, match=r"strategies\.freeze\.layers: the base has 2 layers, not 3"
    ):
        trained(strategy="freeze", strategies__freeze={"layers": 3})


@pytest.mark.parametrize("key", ["attention_dropuot", "hidden_size"])
def test_a_dropout_that_the_base_lacks(plan: Callable[..., Any], key: str):
    with pytest.raises(
        UserError,
        match=rf"train\.dropout\.{key}: the base has no such key; it has attention_dropout",
    ):
        plan(dropout={key: 0.1})


def test_rows_beyond_the_base_s_context(tiny: Path, tmp_path: Path, plan: Callable[..., Any]):
    longest = max(plan().train.lengths + plan().validation.lengths)
    config = json.loads((tiny / "config.json").read_text())
    narrow = shutil.copytree(tiny, tmp_path / "narrow")
    for context in (longest, longest - 1):
        values = config | {"max_position_embeddings": context}
        (narrow / "config.json").write_text(json.dumps(values))
        if context == longest:
            plan(base=narrow)
    with pytest.raises(
        UserError, match=f"has {longest} tokens and the base's context {longest - 1}"
    ):
        plan(base=narrow)


def test_a_warm_up_longer_than_the_run(plan: Callable[..., Any]):
    with pytest.raises(
        UserError, match=r"train\.warmup: 50 steps, and the run has 6: its rate would"
    ):
        plan(warmup=50.0)
    assert plan(warmup=5.0).steps == 6


def test_a_token_that_the_base_has_not(trained: Callable[..., Any]):
    with pytest.raises(UserError, match="train, strategies: index 999999 is out of bounds"):
        trained(
            strategy="trainable_tokens", strategies__trainable_tokens={"token_indices": [999999]}
        )


def test_a_target_that_no_layer_has(trained: Callable[..., Any]):
    """PEFT is content where one of several names is known."""
    with pytest.raises(UserError, match="the base has no layer v_prj; did you mean v_proj\\?"):
        trained(strategies__lora={"target_modules": ["q_proj", "v_prj"]})


def test_weights_that_are_not_finite(trained: Callable[..., Any]):
    with pytest.raises(UserError, match="training diverged"):
        trained(strategy="full", learning_rate=1e9)


@pytest.mark.parametrize("objective", trainer_arguments.LOSSES)
def test_the_losses_are_those_that_the_library_computes(objective: str):
    """Its trainers compare names in the body of a method, or list them in what they raise."""
    text = inspect.getsource(sys.modules[getattr(trl, f"{objective.upper()}Trainer").__module__])
    for name in trainer_arguments.LOSSES[objective]:
        assert f'loss_type == "{name}"' in text or re.search(rf'loss_type in \[.*"{name}"', text)
    compared = set(re.findall(r'(?<!\w)(?:self\.)?loss_type == "(\w+)"', text))
    assert compared <= set(trainer_arguments.LOSSES[objective])


def test_adalora_whose_phases_are_longer_than_the_run(trained: Callable[..., Any]):
    with pytest.raises(UserError, match="tinit \\+ tfinal must be below the run's 6 steps, not 60"):
        trained(strategy="adalora")


@pytest.mark.slow
def test_the_first_stage_tells(
    workplace: Path,
    stage: Callable[..., subprocess.CompletedProcess[str]],
    refused: Callable[..., None],
):
    """Not the fourth, hours later."""
    run = stage("base", "text.jsonl", "brought", changes={"train.options": {"adam_beta": 0.9}})
    refused(run, workplace / "brought", "train.options.adam_beta: no option of SFTConfig")
