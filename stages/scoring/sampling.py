"""Sampled answers: each drawn from a seed of its own, so that no batch changes it."""

import hashlib
from collections.abc import Sequence
from typing import Any

from stages import chat


def answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[tuple[list[int], int]],
    temperature: float,
    max_new_tokens: int,
    seed: int,
) -> list[str]:
    """An answer to each prompt, one prompt at a time; another number beside it is another draw."""
    import torch
    from transformers import GenerationConfig

    stop = chat.end_of_turn(tokenizer)
    model.generation_config = GenerationConfig(
        eos_token_id=stop,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=temperature,
        top_k=0,
    )
    texts = []
    for prompt, turn in prompts:
        digest = hashlib.sha256(f"{seed}/{turn}/{prompt}".encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        ids = torch.tensor([prompt], device=model.device)
        with torch.inference_mode():
            written = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_new_tokens,
            )[0, len(prompt) :].tolist()
        texts.append(
            chat.decode(tokenizer, written[: written.index(stop)] if stop in written else written)
        )
    return texts
