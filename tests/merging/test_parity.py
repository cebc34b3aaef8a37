"""Adapters are merged in 32 bits, and the comparison of outputs detects every difference."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.merging import parity
from lockstep.models import loading, placement, saving
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.records import Record


def test_a_nan_logit_makes_the_difference_nan():
    import torch

    logits, with_nan = torch.zeros(2, 3), torch.tensor([[0.0, float("nan")]])
    assert math.isnan(
        parity.compute_largest_difference([logits, with_nan, logits], [logits, with_nan, logits])
    )
    assert parity.compute_largest_difference([logits, logits], [logits, logits + 0.5]) == 0.5


def test_prompts_are_sampled_evenly_and_truncated(
    tokenizer: Any, make_record: Callable[..., Record]
):
    rows = [make_record(f"order {number}? " * 200, "track") for number in range(6)]
    prompts = parity.encode_prompts(tokenizer, rows, 3)
    assert [len(prompt) for prompt in prompts] == [parity.MAX_PROMPT_TOKENS] * 3
    assert len({tuple(prompt) for prompt in prompts}) == 3


PROMPTS = [[1, 30, 31, 32, 33, 40, 41, 2], [1, 50, 51, 52]]


def test_all_outputs_of_a_head_are_compared_however_short_the_prompt(tiny_model: Path):
    """Banking77 has 77 labels, and a prompt may have fewer tokens."""
    head = Head("single_label_classification", [f"label {number}" for number in range(77)])
    model = loading.load_model(tiny_model, "float32", "eager", "cpu", head=head)
    assert [len(logits) for logits in parity.compute_logits(model, PROMPTS)] == [77, 77]


ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {"target_modules": "all-linear"},
    "dora": {"target_modules": "all-linear", "use_dora": True},
    "embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
}
"""Options of LoraConfig."""


@pytest.fixture(scope="session")
def bf16_base(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Folder of the tiny model in bf16, with an output layer of its own."""
    import torch

    folder = tmp_path_factory.mktemp("bf16") / "base"
    model = loading.load_model(tiny_model, "bfloat16", "eager", "cpu")
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.config.tie_word_embeddings = False
    saving.save_model(model, folder, 1.0)
    return folder


def save_random_adapter(base: Path, folder: Path, **options: Any) -> Path:
    """Write a LoRA adapter with random weights."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=4, init_lora_weights=False, task_type="CAUSAL_LM", **options)
    model = loading.load_model(base, "float32", "eager", "cpu")
    get_peft_model(model, config).save_pretrained(folder)
    return folder


def merge(base: Path, adapter: Path, whole: bool, tolerance: float = 1e-3) -> Any:
    model = loading.load_model(base, "auto", "eager", "cpu")
    return parity.merge_adapter(model, adapter, PROMPTS, tolerance, whole)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("whole", [True, False])
def test_a_bf16_base_is_merged_in_32_bits_and_rounded_once(
    bf16_base: Path, tmp_path: Path, name: str, whole: bool
):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = save_random_adapter(bf16_base, tmp_path, **ADAPTERS[name])
    merged, differences = merge(bf16_base, adapter, whole)
    assert 0 < differences.merging < 1e-5
    assert differences.cast > 1e-3  # the tolerance would refuse what bf16 rounds

    base = AutoModelForCausalLM.from_pretrained(bf16_base, dtype=torch.float32)
    expected = PeftModel.from_pretrained(base, adapter).merge_and_unload().bfloat16().state_dict()
    weights = merged.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


@pytest.mark.parametrize("whole", [True, False])
def test_adapters_of_fused_experts_are_merged(tmp_path: Path, whole: bool):
    import torch
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, head_dim=16,
        num_key_value_heads=1, intermediate_size=32, moe_intermediate_size=16, num_experts=4,
        num_experts_per_tok=2, initializer_range=0.3,
    )  # fmt: skip
    saving.save_model(Qwen3MoeForCausalLM(config).bfloat16(), tmp_path / "base", 1.0)
    parameters = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    adapter = save_random_adapter(
        tmp_path / "base", tmp_path / "a", target_modules=["q_proj"], target_parameters=parameters
    )
    merged, differences = merge(tmp_path / "base", adapter, whole)
    assert differences.merging < 1e-5
    base = loading.load_model(tmp_path / "base", "auto", "eager", "cpu").state_dict()
    changed = {key for key, value in merged.state_dict().items() if not value.equal(base[key])}
    assert {key.rpartition(".layers.")[2][2:] for key in changed} == {
        "self_attn.q_proj.weight", *parameters
    }  # fmt: skip


@pytest.mark.parametrize("whole", [True, False])
def test_a_difference_above_the_tolerance_is_an_error(bf16_base: Path, tmp_path: Path, whole: bool):
    adapter = save_random_adapter(bf16_base, tmp_path, target_modules="all-linear")
    with pytest.raises(UserError, match=r"more than merge\.tolerance 1e-12"):
        merge(bf16_base, adapter, whole, 1e-12)


def test_a_model_too_large_for_32_bits_is_merged_layer_by_layer(
    bf16_base: Path, monkeypatch: pytest.MonkeyPatch
):
    import psutil

    model = loading.load_model(bf16_base, "auto", "eager", "cpu")
    assert placement.fits_in_float32(model)
    memory = psutil.virtual_memory()._replace(available=model.num_parameters() * 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert not placement.fits_in_float32(model)
    assert placement.fits_in_float32(loading.load_model(bf16_base, "float32", "eager", "cpu"))


def test_the_prompt_of_plain_text_is_the_text(tokenizer: ChatTokenizer):
    """Without any token the outputs could not be compared."""
    record = Record(
        messages=[{"role": "assistant", "content": "where is it"}], task="", source="", origin="a:1"
    )
    (ids,) = parity.encode_prompts(tokenizer, [record], 3)
    assert tokenizer.pretrained.decode(ids).endswith("where is it<|im_end|>")


def test_an_empty_validation_split_has_no_prompts_to_compare(tokenizer: ChatTokenizer):
    with pytest.raises(UserError, match=r"no prompts .* raise prepare\.split\.validation"):
        parity.encode_prompts(tokenizer, [], 32)
    assert not parity.encode_prompts(tokenizer, [], 0)
