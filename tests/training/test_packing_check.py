"""Packing is refused for architectures that do not keep packed rows apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import saving
from lockstep.training import trainers
from lockstep.training.training_plan import Plan
from lockstep.training.training_run import load_model

pytestmark = pytest.mark.slow

APART = ("qwen2", "llama", "mistral", "gemma2", "qwen3", "qwen3_moe", "phi3", "olmo2", "gpt2")
"""Architectures whose packed rows have the loss of single rows in plain transformers 5.23."""

TOGETHER = ("gpt_oss", "falcon", "bloom", "opt", "mpt", "granitemoehybrid")
"""Architectures of transformers 5.23 whose attention masks ignore the positions of rows."""

RECURRENT = ("qwen3_next", "qwen3_5_text", "lfm2", "falcon_h1")
"""Architectures with a state between tokens."""


@pytest.fixture
def build_packed_trainer(
    make_plan: Callable[..., Plan],
    make_params: Callable[..., Any],
    tokenizer: Any,
    tmp_path: Path,
) -> Callable[..., Any]:
    """Build the trainer for packed rows on a random model of an architecture."""

    def build(model_type: str, precision: str = "fp32") -> Any:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        config, vocabulary = AutoConfig.for_model(model_type), len(tokenizer.pretrained)
        sizes = {
            "vocab_size": vocabulary, "hidden_size": 64, "num_hidden_layers": 2, "n_layer": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32, "n_embd": 64,
            "n_head": 2, "n_heads": 2, "n_layers": 2, "d_model": 64, "intermediate_size": 64,
            "ffn_dim": 64, "word_embed_proj_dim": 64, "moe_intermediate_size": 32,
            "num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2,
            "shared_intermediate_size": 64, "shared_expert_intermediate_size": 32,
            "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 16, "mamba_d_ssm": 128,
            "mamba_n_groups": 1, "linear_num_value_heads": 2, "linear_num_key_heads": 2,
            "linear_key_head_dim": 32, "linear_value_head_dim": 32, "initializer_range": 0.2,
            "attention_dropout": 0.0, "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.end_ids[0], "bos_token_id": tokenizer.end_ids[0],
        }  # fmt: skip
        known = {
            name: value
            for name, value in sizes.items()
            if hasattr(config, name) and not isinstance(getattr(type(config), name, None), property)
        }
        layers = {
            "granitemoehybrid": ["attention", "attention"],
            "qwen3_next": ["linear_attention", "full_attention"],
            "qwen3_5_text": ["linear_attention", "full_attention"],
            "lfm2": ["conv", "full_attention"],
            "gpt_oss": ["full_attention", "full_attention"],
            "gemma2": ["sliding_attention", "full_attention"],
        }
        if model_type in layers:
            known["layer_types"] = layers[model_type]
        config = type(config)(**known)
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        base = tmp_path / model_type
        saving.save_model(model, base, 1.0)
        saving.save_tokenizer(tokenizer.pretrained, base)
        strategy = "full" if model_type in RECURRENT else "lora"
        changes: dict[str, Any] = {
            "batching": "packed",
            "precision": precision,
            "strategy": strategy,
        }
        if strategy == "lora":  # PEFT adapts fused experts too, without dropout
            changes["adapter"] = {"r": 2, "target_modules": "all-linear"}
        plan = make_plan(base=base, **changes)
        return trainers.build_trainer(load_model(base, make_params(**changes), None, "cpu"), plan)

    return build


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model_type", APART)
def test_an_architecture_that_keeps_rows_apart_is_accepted(
    build_packed_trainer: Callable[..., Any], model_type: str, precision: str
):
    trainer = build_packed_trainer(model_type, precision)
    assert trainer.model.training


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model_type", TOGETHER)
def test_an_architecture_whose_rows_see_each_other_is_refused(
    build_packed_trainer: Callable[..., Any], model_type: str, precision: str
):
    message = f"train.batching: the base's architecture {model_type} lets packed rows see each"
    with pytest.raises(UserError, match=message):
        build_packed_trainer(model_type, precision)


@pytest.mark.parametrize("model_type", RECURRENT)
def test_an_architecture_with_a_state_is_refused(
    build_packed_trainer: Callable[..., Any], model_type: str
):
    with pytest.raises(UserError, match=rf"architecture {model_type} .*; set it to length"):
        build_packed_trainer(model_type)
