"""What a model writes: greedy answers, batched by prompt length."""

from collections.abc import Sequence
from typing import Any

from stages import chat
from stages.scoring.batches import by_length, padded


def answers(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], batch_size: int, max_new_tokens: int
) -> list[str]:
    """The answer to each prompt, up to the end of turn or `max_new_tokens`."""
    import torch
    from transformers import GenerationConfig

    stop = chat.end_of_turn(tokenizer)
    # not the folder's own: a repetition penalty in it would change greedy answers
    model.generation_config = GenerationConfig(
        eos_token_id=stop, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    texts = [""] * len(prompts)
    for batch in by_length([len(prompt) for prompt in prompts], batch_size):
        ids, mask = padded([prompts[i] for i in batch], fill=tokenizer.pad_token_id, left=True)
        with torch.inference_mode():
            written = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=max_new_tokens,
            )
        for i, row in zip(batch, written[:, ids.shape[1] :].tolist(), strict=True):
            texts[i] = chat.decode(tokenizer, row[: row.index(stop)] if stop in row else row)
    return texts
