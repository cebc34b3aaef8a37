"""Merge an adapter into its base model and check that the logits stay the same."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lockstep import records
from lockstep.errors import UserError
from lockstep.models import lean_imports, soft_prompt
from lockstep.models.chat import ChatTokenizer
from lockstep.params import PositiveFloat, PositiveInt, Section
from lockstep.records import Record

MAX_PROMPT_TOKENS = 512
"""Maximum number of tokens of a compared prompt; many encoders read no more."""


class MergeParams(Section):
    """Comparison of the merged model with base plus adapter."""

    prompts: PositiveInt = 32
    """Maximum number of validation prompts whose logits are compared, sampled evenly."""
    tolerance: PositiveFloat = 1e-3
    """Largest accepted difference between two logits."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a PEFT adapter rather than a whole model."""
    return (folder / "adapter_config.json").exists()


def encode_prompts(
    tokenizer: ChatTokenizer, rows: Iterable[Record], number: int
) -> list[list[int]]:
    """Return the token ids of `number` prompts, sampled evenly from the records."""
    sample = records.sample_evenly(list(rows), number)
    return [tokenizer.encode_input(record, MAX_PROMPT_TOKENS)[0] for record in sample]


def merge_adapter(
    base: Any, adapter: Path, prompts: list[list[int]], tolerance: float
) -> tuple[Any, float]:
    """Return the merged model and the largest difference of its logits to base plus adapter.

    A soft prompt has no weights to merge; it is attached to the base instead. Raise UserError
    if the difference exceeds `tolerance`.
    """
    import torch.distributed.tensor  # noqa: F401  PEFT uses it without importing it

    lean_imports.leave_out_bitsandbytes()
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(base, adapter).eval()
    expected = compute_logits(adapted, prompts)
    if adapted.active_peft_config.is_prompt_learning:
        tensors = soft_prompt.extract_soft_prompt(adapted)
        merged = adapted.get_base_model()
        soft_prompt.attach_soft_prompt(merged, tensors)
    else:
        _unwrap_saved_modules(adapted)
        merged = adapted.merge_and_unload(safe_merge=True)
    difference = compute_largest_difference(expected, compute_logits(merged, prompts))
    if not difference <= tolerance:
        raise UserError(
            f"merged logits differ by {difference:.3g} from base plus adapter, more than "
            f"merge.tolerance {tolerance}; raise it only if the base's precision explains it"
        )
    return merged, difference


def _unwrap_saved_modules(adapted: Any) -> None:
    """Replace the base's layers that were trained whole by the trained ones.

    PEFT does so for LoRA; its (IA)³ and PEANuT fail on RoBERTa's head, which has two layers.
    """
    from peft.utils import ModulesToSaveWrapper

    for name, module in list(adapted.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            adapted.set_submodule(name, module.modules_to_save[module.active_adapter])


def compute_logits(model: Any, prompts: list[list[int]]) -> list[Any]:
    """Return the logits of each prompt as a float32 tensor on the CPU.

    The shape is (tokens, vocabulary), or (outputs,) for a model with a head. The positions of a
    soft prompt are left out.
    """
    import torch

    with torch.inference_mode():
        return [
            model(input_ids=torch.tensor([ids], device=model.device))
            .logits[0][-len(ids) :]
            .float()
            .cpu()
            for ids in prompts
        ]


def compute_largest_difference(logits: list[Any], other_logits: list[Any]) -> float:
    """Return the largest absolute difference between two lists of tensors; NaN if one has NaN."""
    import torch

    pairs = zip(logits, other_logits, strict=True)
    return float(torch.stack([(a - b).abs().max() for a, b in pairs]).max())
