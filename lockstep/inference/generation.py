"""What a model writes: greedy answers, batched by prompt length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.inference.batching import by_length, padded
from lockstep.models import chat


@dataclass(frozen=True, slots=True)
class Written:
    """An answer, and whether it was cut before the model ended its turn."""

    text: str
    truncated: bool


def answers(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], batch_size: int, max_new_tokens: int
) -> list[Written]:
    """The answer to each prompt, up to the end of turn or `max_new_tokens`."""
    import torch
    from transformers import GenerationConfig

    # not the folder's own: a repetition penalty in it would change greedy answers
    model.generation_config = GenerationConfig(
        eos_token_id=chat.end_of_turn(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    found: dict[int, Written] = {}
    for batch in by_length([len(prompt) for prompt in prompts], batch_size):
        ids, mask = padded([prompts[i] for i in batch], fill=tokenizer.pad_token_id, left=True)
        with torch.inference_mode():
            written = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=max_new_tokens,
            )
        for i, row in zip(batch, written[:, ids.shape[1] :].tolist(), strict=True):
            found[i] = read(tokenizer, row)
    return [found[i] for i in range(len(prompts))]


def read(tokenizer: Any, ids: list[int]) -> Written:
    """What a model wrote behind a prompt, without what stands behind its end of turn."""
    stop = chat.end_of_turn(tokenizer)
    truncated = stop not in ids
    return Written(chat.decode(tokenizer, ids if truncated else ids[: ids.index(stop)]), truncated)
