"""Every adapter that training writes can be merged, with and without a head."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from lockstep.inference import generation, likelihood
from lockstep.merging import parity
from lockstep.models import heads, loading, saving, soft_prompt
from lockstep.records import Record
from lockstep.training import adapters
from lockstep.training.train_params import Strategy

pytestmark = pytest.mark.slow

STRATEGIES = [kind for kind in get_args(Strategy) if kind not in ("full", "freeze")]
INITIALIZATIONS = ["pissa", "olora"]


@pytest.fixture
def train_adapter(run_training: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Return the folder of a trained adapter."""

    def make(strategy: str, **changes: Any) -> Path:
        folder = tmp_path / "adapter"
        settings = {"learning_rate": 3e-2, "epochs": 4.0}
        run_training(strategy=strategy, **{**settings, **changes}).save_result(folder, 1.0)
        return folder

    return make


def encode_prompts(tokenizer: Any, corpus: list[Record]) -> list[list[int]]:
    """Return the token ids of a few prompts."""
    return [tokenizer.encode_prompt(record.prompt) for record in corpus[:5]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_adapter_is_merged_into_the_original_base(
    train_adapter: Callable[..., Path],
    tiny_model: Path,
    tokenizer: Any,
    corpus: list[Record],
    strategy: str,
):
    import torch

    folder = train_adapter(strategy)
    prompt_ids = encode_prompts(tokenizer, corpus)
    base = loading.load_model(tiny_model, "float32", "eager", "cpu")
    before = parity.compute_logits(base, prompt_ids)
    merged, differences = parity.merge_adapter(base, folder, prompt_ids, 1e-4)
    assert differences.merging <= 1e-4
    after = parity.compute_logits(merged, prompt_ids)
    assert parity.compute_largest_difference(before, after) > 0.01
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert all(torch.isfinite(one).all() for one in after)


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_an_initialization_from_the_base_is_converted_to_the_original_base(
    run_training: Callable[..., Any],
    tiny_model: Path,
    tokenizer: Any,
    corpus: list[Record],
    initialization: str,
    tmp_path: Path,
):
    """PiSSA and OLoRA move a part of the base's weights into the adapter."""
    import torch

    lora = {
        "r": 4, "lora_alpha": 4, "init_lora_weights": initialization, "target_modules": "all-linear"
    }  # fmt: skip
    trainer = run_training(strategy="lora", adapter=lora, learning_rate=1e-2)
    trainer.save_result(tmp_path / "adapter", 1.0)
    prompt_ids = encode_prompts(tokenizer, corpus)
    reference = parity.compute_logits(trainer.model.eval(), prompt_ids)
    base = loading.load_model(tiny_model, "float32", "eager", "cpu")
    merged, _ = parity.merge_adapter(base, tmp_path / "adapter", prompt_ids, 1e-4)
    for logits, reference_logits in zip(
        parity.compute_logits(merged, prompt_ids), reference, strict=True
    ):
        torch.testing.assert_close(logits, reference_logits, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("objective", ["classification", "regression", "reward"])
def test_a_head_is_saved_and_merged(
    train_adapter: Callable[..., Path],
    tiny_model: Path,
    tokenizer: Any,
    corpus: list[Record],
    objective: str,
):
    folder = train_adapter("lora", objective=objective)
    head = heads.read_head(folder)
    assert head is not None
    base = loading.load_model(tiny_model, "float32", "eager", "cpu", head=head)
    prompt_ids = encode_prompts(tokenizer, corpus)
    merged, _ = parity.merge_adapter(base, folder, prompt_ids, 1e-4)
    assert parity.compute_logits(merged, prompt_ids)[0].numel() == max(1, len(head.labels))


@pytest.mark.parametrize("strategy", ["prompt", "p_tuning", "prefix"])
def test_a_soft_prompt_comes_before_every_input(
    train_adapter: Callable[..., Path],
    tiny_model: Path,
    tokenizer: Any,
    corpus: list[Record],
    strategy: str,
    tmp_path: Path,
):
    """Likelihoods and answers of batches equal those of PEFT with one prompt at a time."""
    import torch
    from peft import PeftModel

    folder = train_adapter(strategy)
    prompt_ids = encode_prompts(tokenizer, corpus)
    base = loading.load_model(tiny_model, "float32", "eager", "cpu")
    merged, _ = parity.merge_adapter(base, folder, prompt_ids, 1e-4)
    saving.save_model(merged, tmp_path / "merged", 1.0)
    saving.save_tokenizer(tokenizer.pretrained, tmp_path / "merged")
    assert (tmp_path / "merged" / soft_prompt.FILE).exists()
    model = loading.load_model(tmp_path / "merged", "auto", "eager", "cpu")
    peft_model = PeftModel.from_pretrained(
        loading.load_model(tiny_model, "float32", "eager", "cpu"), folder
    ).eval()

    choices = [tokenizer.encode_answer(text) for text in ("track", "cancel order")]
    scores = likelihood.score_choices(model, prompt_ids, choices, 3)
    for prompt, row in zip(prompt_ids, scores, strict=True):
        for choice, score in zip(choices, row, strict=True):
            with torch.inference_mode():
                logits = peft_model(input_ids=torch.tensor([prompt + choice])).logits[0]
            log_probabilities = logits[-len(choice) - 1 : -1].log_softmax(-1)
            reference = log_probabilities.gather(1, torch.tensor(choice).unsqueeze(1)).sum().item()
            assert score == pytest.approx(reference, rel=1e-3)

    answers = generation.generate_answers(model, tokenizer, prompt_ids, 3, 6)
    for prompt, answer in zip(prompt_ids, answers, strict=True):
        ids = torch.tensor([prompt])
        row = peft_model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False,
            eos_token_id=tokenizer.end_ids[0], pad_token_id=tokenizer.pad_token_id,
        )[0, len(prompt) :].tolist()  # fmt: skip
        end = row.index(tokenizer.end_ids[0]) if tokenizer.end_ids[0] in row else len(row)
        assert answer.text == tokenizer.parse_answer(row[:end]).text


@pytest.mark.parametrize("name", ["qwen3_moe", "falcon"])
def test_qlora_on_experts_and_falcon_is_merged_into_the_original_base(
    run_training: Callable[..., Any],
    tokenizer: Any,
    corpus: list[Record],
    tmp_path: Path,
    name: str,
):
    import torch
    import transformers as hf

    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer.pretrained), "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "initializer_range": 0.2, "bos_token_id": 1,
        "eos_token_id": tokenizer.pretrained.eos_token_id,
    }  # fmt: skip
    model: Any
    if name == "falcon":
        model = hf.FalconForCausalLM(hf.FalconConfig(**shape))
    else:
        experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
        config = hf.Qwen3MoeConfig(**shape, **experts, num_key_value_heads=1, head_dim=32)
        model = hf.Qwen3MoeForCausalLM(config)
    base = tmp_path / "base"
    saving.save_model(model.bfloat16(), base, 1.0)
    saving.save_tokenizer(tokenizer.pretrained, base)
    lora = {"r": 4, "target_modules": "all-linear"}
    trainer = run_training(base=base, strategy="qlora", adapter=lora, learning_rate=1e-2)
    trainer.save_result(tmp_path / "adapter", 1.0)
    trained_parameters = adapters.count_trained_parameters(trainer.model)
    assert adapters.count_parameters(trainer.model) == model.num_parameters() + trained_parameters
    adapter = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert adapter["target_parameters"] in (None, ["gate.weight"])  # the router, no expert
    prompts = encode_prompts(tokenizer, corpus)
    trained = parity.compute_logits(trainer.model.eval(), prompts)
    original = loading.load_model(base, "auto", "eager", "cpu")
    before = parity.compute_logits(original, prompts)
    merged, differences = parity.merge_adapter(original, tmp_path / "adapter", prompts, 1e-3)
    assert differences.merging < 1e-4
    after = parity.compute_logits(merged, prompts)
    # 4 bits change the base, so merged and trained are close, not equal
    distance = float((after[0] - trained[0]).norm() / trained[0].norm())
    assert distance < 0.9 * float((before[0] - trained[0]).norm() / trained[0].norm())
