"""How fast a variant answers, on this machine: no result, but a timing."""

import time
from collections.abc import Sequence
from typing import Any

from lockstep.inference.batching import pad_rows

PROMPTS = 8
"""Answered one by one; their longest tokens' times say what the 95th percentile is."""
TOKENS = 24
"""Of each answer, whether or not it would end before."""


def measure_latency(
    model: Any, prompts: Sequence[list[int]], fill: int, batch_size: int, most: int
) -> dict[str, float]:
    """Latency of the first token and of each further one at batch 1, in milliseconds (median and
    95th percentile), and tokens per second at batch 1 and at `batch_size`; greedy, with a cache.
    Answers are TOKENS long, or `most` where that is less."""
    import numpy as np

    tokens = min(TOKENS, most)
    _write(model, [prompts[0]], fill, tokens)  # warms up
    firsts, others = [], []
    for prompt in prompts[:PROMPTS]:
        times = _write(model, [prompt], fill, tokens)
        firsts.append(times[0])
        others += times[1:]
    batch = [prompts[index % len(prompts)] for index in range(batch_size)]
    together = sum(_write(model, batch, fill, tokens))
    found = {
        f"{name}_ms_p{share}": 1000 * float(np.percentile(times, share))
        for name, times in (("first_token", firsts), ("token", others))
        for share in (50, 95)
    }
    alone = len(firsts) * tokens / (sum(firsts) + sum(others))
    found |= {
        "tokens_per_second_batch_1": alone,
        f"tokens_per_second_batch_{batch_size}": batch_size * tokens / together,
    }
    return {name: round(value, 2) for name, value in found.items()}


def _write(model: Any, prompts: Sequence[list[int]], fill: int, tokens: int) -> list[float]:
    """Seconds that each token of all prompts took, the prompt with the first."""
    import torch

    ids, mask = (part.to(model.device) for part in pad_rows(prompts, fill, left=True))
    cache, times = None, []
    for _ in range(tokens):
        started = time.perf_counter()
        with torch.inference_mode():
            out = model(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        ids, cache = out.logits[:, -1:].argmax(-1), out.past_key_values
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        ids[0, 0].item()  # waits for the device
        times.append(time.perf_counter() - started)
    return times
