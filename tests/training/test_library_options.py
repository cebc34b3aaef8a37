"""Wrong options of libraries are refused in one line each, before a model is loaded."""
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
from lockstep.training import trainer_arguments
from lockstep.training.training_plan import Params, check_options

MakeParams = Callable[..., Params]


def read_error_message(params: Params) -> str:
    """Return the message about the options of a library."""
    with pytest.raises(UserError) as error:
        check_options(params.train, 7, "cpu")
    return str(error.value.message)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"options": {"neftune_noise": 5.0}}, "train.options: SFTConfig has no option neftune_noise; did you mean neftune_noise_alpha?"),
        ({"options": {"adam_beta1": "high"}}, "train.options.adam_beta1: should be a valid number, not 'high'"),
        ({"options": {"learning_rate": 1.0}}, "train.options.learning_rate: the pipeline sets it; leave it out"),
        ({"options": {"push_to_hub": True}}, "train.options.push_to_hub: the pipeline sets it; leave it out"),
        ({"options": {"beta": 0.1}}, "train.options: SFTConfig has no option beta; see SFTConfig in the documentation of trl"),
        ({"schedule": "cosin"}, "train.schedule: transformers has no 'cosin'; did you mean cosine?"),
        ({"schedule": "warmup_stable_decay"}, "train.schedule, train.options.lr_scheduler_kwargs: warmup_stable_decay: get_wsd_schedule() missing 1 required positional argument: 'num_decay_steps'"),
        ({"schedule": "cosine_with_min_lr"}, "train.schedule, train.options.lr_scheduler_kwargs: cosine_with_min_lr: One of min_lr or min_lr_rate should be set"),
        ({"schedule": "polynomial", "options": {"lr_scheduler_kwargs": {"lr_end": 1.0}}}, "train.schedule, train.options.lr_scheduler_kwargs: polynomial: lr_end (1.0) must be smaller"),
        ({"schedule": "polynomial", "options": {"lr_scheduler_kwargs": {"power": "2"}}}, "train.schedule, train.options.lr_scheduler_kwargs: polynomial: unsupported operand"),
        ({"schedule": "linear", "options": {"lr_scheduler_kwargs": {"num_cycles": 2}}}, "train.schedule, train.options.lr_scheduler_kwargs: linear: get_linear_schedule_with_warmup() got an unexpected"),
        ({"optimizer": "adam"}, "train.optimizer: transformers has no 'adam'; did you mean"),
        ({"optimizer": "galore_adamw"}, "train.optimizer, train.options: galore_adamw: You need to install `galore_torch`"),
        ({"objective": "dpo", "options": {"loss_type": ["sigmoid", "ipso"]}}, "train.options.loss_type: dpo has no 'ipso'; known: sigmoid, hinge"),
        ({"objective": "grpo", "options": {"loss_type": "kto", "num_generations": 4}}, "train.options.loss_type: grpo has no 'kto'; known: grpo, bnpo"),
        ({"options": {"use_liger_kernel": True}}, "train.options.use_liger_kernel: install liger-kernel first"),
        ({"options": {"adam_beta1": 2.0}}, "train.optimizer, train.options: adamw_torch_fused: Invalid beta parameter"),
        ({"options": {"dataloader_num_workers": -1}}, "train.options.dataloader_…: num_workers option should be non-negative"),
        ({"schedule": "greedy"}, "train.schedule: greedy depends on evaluations"),
        ({"precision": "fp16"}, "train.precision: fp16 needs a GPU; set it to fp32 or bf16"),
        ({"adapter": {"alpha": 4}}, "train.adapter: lora has no option alpha; did you mean lora_alpha?"),
        ({"adapter": {"r": "four"}}, "train.adapter.r: should be a valid integer, not 'four'"),
        ({"adapter": {"task_type": "SEQ_CLS"}}, "train.adapter.task_type: the objective sets it; leave it out"),
        ({"adapter": {"loraplus_lr_ratio": "x"}}, "train.adapter.loraplus_lr_ratio: must be a number from 1 on"),
        ({"adapter": {"init_lora_weights": "loftq"}}, "train.adapter.init_lora_weights: loftq needs data of its own"),
        ({"strategy": "qlora", "adapter": {"init_lora_weights": "pissa"}}, "train.adapter.init_lora_weights: pissa changes"),
        ({"strategy": "qlora", "adapter": {"double_quantization": 1}}, "train.adapter.double_quantization: must be true or false, not 1"),
        ({"strategy": "ia3", "adapter": {"r": 4}}, "train.adapter: ia3 has no option r; see IA3Config in the documentation of peft"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_option_is_refused_in_one_line(
    make_params: MakeParams, changes: dict[str, Any], line: str
):
    message = read_error_message(make_params(**changes))
    assert message.startswith(f"params.yaml: {line}"), message
    assert "\n" not in message


def test_all_wrong_options_are_reported_at_once(make_params: MakeParams):
    message = read_error_message(
        make_params(
            options={"bete": 1, "adam_beta1": "x", "seed": 3},
            adapter={"alpha": 1, "loraplus_lr_ratio": 0},
        )
    )
    assert len(message.splitlines()) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "dpo", "batching": "packed"}, "batching: packed is for sft"),
        ({"strategy": "full", "adapter": {"r": 4}}, "full has no option r; set train.adapter to {}"),
        ({"strategy": "freeze", "adapter": {"layer": 4}}, "freeze has no option layer; its only option is layers"),
        ({"strategy": "prompt", "batching": "packed"}, "no start for the vectors of prompt"),
        ({"strategy": "prefix", "activation_checkpointing": True}, "drops the cache that holds the vectors of prefix"),
        ({"strategy": "prompt", "objective": "grpo"}, "prompt does not work with grpo; set it to lora"),
        ({"strategy": "trainable_tokens", "objective": "dpo"}, "works with sft only, not with dpo"),
        ({"objective": "regression", "evaluation_answers": 5}, "regression generates no answers"),
        ({"early_stopping.patience": 3, "evaluation_steps": 0}, "set evaluation_steps"),
        ({"early_stopping.patience": 3, "early_stopping.metric": "f1"}, "f1 is not measured for sft"),
        ({"sft.weighting": "uncertainty", "sft.task_weights": {"a": 1.0}}, "uncertainty has no use for them"),
        ({"sft.task_weights": {"a": 2.0}, "batching": "packed"}, "packed rows have no weights"),
        ({"sft.weighting": "uncertainty", "strategy": "adalora"}, "without weights of tasks or rows; set strategy to lora"),
        ({"sft.weighting": "rows", "batching": "packed"}, "packed rows have no weights"),
        ({"sft.task_weights": {"a": 2.0}, "options": {"loss_type": "dft"}}, "need loss_type nll"),
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_combined_are_refused(
    make_params: MakeParams, changes: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        make_params(**changes)


def test_an_option_that_only_the_loaded_model_rules_out_is_refused(
    run_training: Callable[..., Any],
):
    with pytest.raises(
        UserError, match="`r` should be a positive integer value but the value passed"
    ):
        run_training(adapter={"r": 0, "target_modules": "all-linear"})


def test_more_layers_than_the_base_has_are_refused(
    make_plan: Callable[..., Any], run_training: Callable[..., Any]
):
    with pytest.raises(
        UserError, match=r"train\.adapter: freeze: the base has 2 layers, so layers cannot be 3"
    ):
        run_training(strategy="freeze", adapter={"layers": 3})


@pytest.mark.parametrize("key", ["attention_dropuot", "hidden_size"])
def test_a_dropout_key_that_the_base_lacks_is_refused(make_plan: Callable[..., Any], key: str):
    with pytest.raises(
        UserError,
        match=rf"train\.dropout\.{key}: the base has no such key; known: attention_dropout",
    ):
        make_plan(dropout={key: 0.1})


def test_rows_longer_than_the_context_of_the_base_are_refused(
    tiny_model: Path, tmp_path: Path, make_plan: Callable[..., Any]
):
    longest = max(make_plan().train_rows.lengths + make_plan().validation_rows.lengths)
    config = json.loads((tiny_model / "config.json").read_text())
    narrow = shutil.copytree(tiny_model, tmp_path / "narrow")
    for context in (longest, longest - 1):
        values = config | {"max_position_embeddings": context}
        (narrow / "config.json").write_text(json.dumps(values))
        if context == longest:
            make_plan(base=narrow)
    with pytest.raises(
        UserError, match=f"has {longest} tokens, but the base's context is {longest - 1}"
    ):
        make_plan(base=narrow)


def test_a_warm_up_longer_than_the_run_is_refused(make_plan: Callable[..., Any]):
    with pytest.raises(
        UserError, match=r"train\.warmup: 50 steps, but the run has 6, so it would never"
    ):
        make_plan(warmup=50.0)
    assert make_plan(warmup=5.0).steps == 6


def test_a_token_index_beyond_the_vocabulary_is_refused(run_training: Callable[..., Any]):
    with pytest.raises(
        UserError, match="train: sft with strategy trainable_tokens: index 999999 is out"
    ):
        run_training(strategy="trainable_tokens", adapter={"token_indices": [999999]})


def test_a_target_module_that_no_layer_has_is_refused(run_training: Callable[..., Any]):
    """PEFT accepts a list of names if it knows one of them."""
    with pytest.raises(UserError, match="the base has no layer v_prj; did you mean v_proj\\?"):
        run_training(adapter={"target_modules": ["q_proj", "v_prj"]})


def test_a_learning_rate_that_makes_training_diverge_is_refused(run_training: Callable[..., Any]):
    with pytest.raises(UserError, match="training diverged"):
        run_training(strategy="full", learning_rate=1e9)


@pytest.mark.parametrize("objective", trainer_arguments.LOSS_TYPES)
def test_the_known_loss_types_are_those_of_the_library(objective: str):
    """The names are read from the source of TRL's trainers."""
    text = inspect.getsource(sys.modules[getattr(trl, f"{objective.upper()}Trainer").__module__])
    for name in trainer_arguments.LOSS_TYPES[objective]:
        assert f'loss_type == "{name}"' in text or re.search(rf'loss_type in \[.*"{name}"', text)
    compared = set(re.findall(r'(?<!\w)(?:self\.)?loss_type == "(\w+)"', text))
    assert compared <= set(trainer_arguments.LOSS_TYPES[objective])


def test_adalora_phases_longer_than_the_run_are_refused(run_training: Callable[..., Any]):
    with pytest.raises(UserError, match="tinit \\+ tfinal must be below the run's 6 steps, not 60"):
        run_training(strategy="adalora", adapter={"tinit": 20, "tfinal": 40})


@pytest.mark.slow
def test_the_first_stage_refuses_wrong_options(
    workspace: Path,
    run_stage: Callable[..., subprocess.CompletedProcess[str]],
    assert_user_error: Callable[..., None],
):
    run = run_stage("base", "base", "brought", changes={"train.options": {"adam_beta": 0.9}})
    assert_user_error(
        run, workspace / "brought", "train.options: SFTConfig has no option adam_beta"
    )
