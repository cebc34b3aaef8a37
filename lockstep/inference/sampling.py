"""Sampled answers: each drawn from a seed of its own, so that no batch changes it."""

import hashlib
from collections.abc import Sequence
from typing import Any

from lockstep.inference.generation import Written, read
from lockstep.models import chat


def answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[tuple[list[int], int]],
    temperature: float,
    max_new_tokens: int,
    seed: int,
) -> list[Written]:
    """An answer to each prompt, one prompt at a time; another number beside it is another draw."""
    import torch
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        eos_token_id=chat.end_of_turn(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=temperature,
        top_k=0,
    )
    found = []
    for prompt, turn in prompts:
        torch.manual_seed(seed_of(prompt, turn, seed))
        ids = torch.tensor([prompt], device=model.device)
        with torch.inference_mode():
            written = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_new_tokens,
            )[0, len(prompt) :].tolist()
        found.append(read(tokenizer, written))
    return found


def seed_of(prompt: list[int], turn: int, seed: int) -> int:
    """Of one draw, 0 to 2^63 - 1."""
    digest = hashlib.sha256(f"{seed}/{turn}/{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
