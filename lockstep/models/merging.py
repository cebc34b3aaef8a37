"""Merge an adapter into its base model and check that the logits stay the same."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lockstep import records
from lockstep.errors import UserError
from lockstep.models import chat, lean_imports, seq2seq, soft_prompt
from lockstep.models.seq2seq import Pair
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


Prompt = list[int] | Pair
"""Token ids of a prompt; source and target for a sequence-to-sequence model."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a PEFT adapter rather than a whole model."""
    return (folder / "adapter_config.json").exists()


def encode_prompts(
    tokenizer: Any, rows: Iterable[Record], number: int, with_targets: bool = False
) -> Sequence[Prompt]:
    """Return the token ids of `number` prompts, sampled evenly from the records.

    `with_targets` adds the targets that a sequence-to-sequence model needs.
    """
    sample = records.sample_evenly(list(rows), number)
    if with_targets:
        return [seq2seq.encode_pair(tokenizer, record, MAX_PROMPT_TOKENS) for record in sample]
    return [chat.encode_input(tokenizer, record, MAX_PROMPT_TOKENS)[0] for record in sample]


def merge_adapter(
    base: Any, adapter: Path, prompts: Sequence[Prompt], tolerance: float
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
        merged = adapted.merge_and_unload(safe_merge=True)
    difference = compute_largest_difference(expected, compute_logits(merged, prompts))
    if not difference <= tolerance:
        raise UserError(
            f"merged logits differ by {difference:.3g} from base plus adapter, more than "
            f"merge.tolerance {tolerance}; raise it only if the base's precision explains it"
        )
    return merged, difference


def compute_logits(model: Any, prompts: Sequence[Prompt]) -> list[Any]:
    """Return the logits of each prompt as a float32 tensor on the CPU.

    The shape is (tokens, vocabulary), or (outputs,) for a model with a head. The tokens are those
    of the prompt, without the positions of a soft prompt, or those of the target.
    """
    import torch

    all_logits = []
    for prompt in prompts:
        if isinstance(prompt, Pair):
            ids, tokens = prompt.source, prompt.target
            labels = torch.tensor([tokens], device=model.device)
            decoder_inputs = {"decoder_input_ids": seq2seq.shift_right(model, labels)}
        else:
            ids, tokens, decoder_inputs = prompt, prompt, {}
        with torch.inference_mode():
            logits = model(
                input_ids=torch.tensor([ids], device=model.device), **decoder_inputs
            ).logits[0][-len(tokens) :]
        all_logits.append(logits.float().cpu())
    return all_logits


def compute_largest_difference(logits: list[Any], other_logits: list[Any]) -> float:
    """Return the largest absolute difference between two lists of tensors; NaN if one has NaN."""
    import torch

    pairs = zip(logits, other_logits, strict=True)
    return float(torch.stack([(a - b).abs().max() for a, b in pairs]).max())
