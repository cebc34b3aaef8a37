"""What training writes goes on through merge: every adapter, with and without a head."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from lockstep.inference import generation, likelihood
from lockstep.models import chat, model_io, soft_prompt
from lockstep.records import Record
from lockstep.training.train_params import Strategy
from stages import merge

pytestmark = pytest.mark.slow

ADALORA = {"init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 1, "target_modules": "all-linear"}
ADAPTERS = [kind for kind in get_args(Strategy) if kind not in ("full", "freeze")]
STARTS = ["pissa", "olora"]


@pytest.fixture
def adapter(trained: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """The folder of an adapter that has learnt something."""

    def make(strategy: str, **changes: Any) -> Path:
        folder = tmp_path / "adapter"
        same = {"strategies__adalora": ADALORA, "learning_rate": 3e-2, "epochs": 4.0}
        trained(strategy=strategy, **{**same, **changes}).save_result(folder, 1.0)
        return folder

    return make


def prompts(tokenizer: Any, corpus: list[Record]) -> list[list[int]]:
    return [chat.encode_prompt(tokenizer, record.prompt) for record in corpus[:5]]


@pytest.mark.parametrize("strategy", ADAPTERS)
def test_every_adapter_is_merged_into_the_original_base(
    adapter: Callable[..., Path], tiny: Path, tokenizer: Any, corpus: list[Record], strategy: str
):
    import torch

    folder = adapter(strategy)
    asked = prompts(tokenizer, corpus)
    base = model_io.load_model(tiny, "float32", "eager", "cpu")
    before = merge.logits(base, asked)
    merged, difference = merge.merge_adapter(base, folder, asked, 1e-3)
    assert difference <= 1e-3
    after = merge.logits(merged, asked)
    assert merge.largest_difference(before, after) > 0.01
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert all(torch.isfinite(one).all() for one in after)


@pytest.mark.parametrize("start", STARTS)
def test_a_start_that_changes_the_base_is_converted_to_the_original(
    trained: Callable[..., Any], tiny: Path, tokenizer: Any, corpus: list[Record], start: str,
    tmp_path: Path,
):  # fmt: skip
    """PiSSA and OLoRA tune what they took out of the base's weights."""
    import torch

    lora = {"r": 4, "lora_alpha": 4, "init_lora_weights": start, "target_modules": "all-linear"}
    trainer = trained(strategy="lora", strategies__lora=lora, learning_rate=1e-2)
    trainer.save_result(tmp_path / "adapter", 1.0)
    asked = prompts(tokenizer, corpus)
    want = merge.logits(trainer.model.eval(), asked)
    base = model_io.load_model(tiny, "float32", "eager", "cpu")
    merged, _ = merge.merge_adapter(base, tmp_path / "adapter", asked, 1e-2)
    for ours, theirs in zip(merge.logits(merged, asked), want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("objective", ["classification", "regression", "reward"])
def test_a_head_comes_along(
    adapter: Callable[..., Path], tiny: Path, tokenizer: Any, corpus: list[Record], objective: str
):
    folder = adapter("lora", objective=objective)
    head = model_io.read_head(folder)
    assert head is not None
    base = model_io.load_model(tiny, "float32", "eager", "cpu", head=head)
    asked = prompts(tokenizer, corpus)
    merged, _ = merge.merge_adapter(base, folder, asked, 1e-4)
    assert merge.logits(merged, asked)[0].numel() == max(1, len(head.labels))


@pytest.mark.parametrize("strategy", ["prompt", "p_tuning", "prefix"])
def test_a_soft_prompt_stands_before_every_input(
    adapter: Callable[..., Path], tiny: Path, tokenizer: Any, corpus: list[Record], strategy: str,
    tmp_path: Path,
):  # fmt: skip
    """In a batch, with choices and while it writes, as PEFT has it one by one."""
    import torch
    from peft import PeftModel

    folder = adapter(strategy)
    asked = prompts(tokenizer, corpus)
    base = model_io.load_model(tiny, "float32", "eager", "cpu")
    merged, _ = merge.merge_adapter(base, folder, asked, 1e-3)
    model_io.save_model(merged, tmp_path / "merged", 1.0)
    model_io.save_tokenizer(tokenizer, tmp_path / "merged")
    assert (tmp_path / "merged" / soft_prompt.FILE).exists()
    ours = model_io.load_model(tmp_path / "merged", "auto", "eager", "cpu")
    theirs = PeftModel.from_pretrained(
        model_io.load_model(tiny, "float32", "eager", "cpu"), folder
    ).eval()

    choices = [chat.encode_answer(tokenizer, text) for text in ("track", "cancel order")]
    scores = likelihood.score_choices(ours, asked, choices, 3)
    for prompt, row in zip(asked, scores, strict=True):
        for choice, score in zip(choices, row, strict=True):
            with torch.inference_mode():
                logits = theirs(input_ids=torch.tensor([prompt + choice])).logits[0]
            told = logits[-len(choice) - 1 : -1].log_softmax(-1)
            want = told.gather(1, torch.tensor(choice).unsqueeze(1)).sum().item()
            assert score == pytest.approx(want, rel=1e-3)

    written = generation.generate_answers(ours, tokenizer, asked, 3, 6)
    for prompt, answer in zip(asked, written, strict=True):
        ids = torch.tensor([prompt])
        row = theirs.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )[0, len(prompt) :].tolist()  # fmt: skip
        end = row.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in row else len(row)
        assert answer.text == chat.decode_answer(tokenizer, row[:end])
