"""Frozen layers and targets of adapters: what is trained, and what cannot be."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import loading, saving
from lockstep.models.heads import Head
from lockstep.training import target_modules
from lockstep.training.adapters import count_trained_parameters, freeze_layers
from lockstep.training.training_run import load_model
from tests.conftest import write_random_model

HEAD = Head("single_label_classification", ["a", "b", "c"])


def list_trained_modules(model: Any) -> set[str]:
    """Return the names of trained parameters, each up to its block or module."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    return {name.partition(".layer.")[2].split(".")[0] or name for name in names}


@pytest.fixture
def encoder(tmp_path: Path, tiny_model: Path) -> Any:
    """A BERT with two blocks and a new head over three labels."""
    write_random_model("bert", tmp_path / "bert", tiny_model)
    return loading.load_model(tmp_path / "bert", "float32", "eager", "cpu", head=HEAD)


@pytest.mark.parametrize(("layers", "blocks"), [(0, set()), (1, {"1"}), (2, {"0", "1"})])
def test_the_last_layers_of_an_encoder_are_trained(encoder: Any, layers: int, blocks: set[str]):
    after = {
        "bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"
    }  # fmt: skip
    freeze_layers(encoder, layers)
    assert list_trained_modules(encoder) == blocks | after
    block = sum(p.numel() for p in encoder.bert.encoder.layer[1].parameters())
    trained_layers = sum(
        p.numel() for p in [*encoder.bert.pooler.parameters(), *encoder.classifier.parameters()]
    )
    assert count_trained_parameters(encoder) == layers * block + trained_layers


@pytest.mark.parametrize(
    ("strategy", "target", "message"),
    [
        ("qlora", "mlp.experts.down_proj", "PEFT cannot adapt mlp.experts.down_proj in 4 bits"),
        ("lora", "mlp.experts.down_projection", "has no parameter mlp.experts.down_projection"),
        ("lora", "mlp.experts.down_proj", ""),
    ],
)
def test_a_target_parameter_that_peft_would_pass_over_is_refused(
    make_params: Callable[..., Any], tmp_path: Path, strategy: str, target: str, message: str
):
    from peft import LoraConfig
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    config = Qwen3MoeConfig(
        vocab_size=64, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, num_experts=2,
        num_key_value_heads=1, moe_intermediate_size=32, intermediate_size=32,
    )  # fmt: skip
    saving.save_model(Qwen3MoeForCausalLM(config), tmp_path, 1.0)
    model = load_model(tmp_path, make_params(strategy=strategy, adapter={"r": 2}), None, "cpu")
    adapter = LoraConfig(r=2, target_modules=["q_proj"], target_parameters=[target])
    if message:
        with pytest.raises(UserError, match=re.escape(message)):
            target_modules.check_target_parameters(adapter, model)
    else:
        target_modules.check_target_parameters(adapter, model)
