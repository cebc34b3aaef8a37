"""Measure how fast a model generates on this machine."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from lockstep.inference.batching import pad_rows

PROMPTS = 8
"""Maximum number of prompts that are answered one by one."""
TOKENS = 24
"""Number of tokens generated per prompt, whether or not the answer would end earlier."""


TimeTokens = Callable[[Any, list[list[int]], int, int], list[float]]
"""Function that returns the seconds of each decoding step; see `time_tokens`."""


def measure_latency(
    model: Any,
    prompts: Sequence[list[int]],
    fill: int,
    batch_size: int,
    max_new_tokens: int,
    time_tokens: TimeTokens | None = None,
) -> dict[str, float]:
    """Return latencies in milliseconds and throughputs in tokens per second.

    The latencies are those of the first token and of each further token at batch 1 (median and
    95th percentile); the throughputs are those at batch 1 and at `batch_size`. Decoding is
    greedy, with a cache, for TOKENS or `max_new_tokens` tokens, whichever is less. `time_tokens`
    replaces the decoding of a causal model.
    """
    import numpy as np

    tokens, time_steps = min(TOKENS, max_new_tokens), time_tokens or time_decoding
    time_steps(model, [prompts[0]], fill, tokens)  # warm-up
    first_token_times, token_times = [], []
    for prompt in prompts[:PROMPTS]:
        times = time_steps(model, [prompt], fill, tokens)
        first_token_times.append(times[0])
        token_times += times[1:]
    batch = [prompts[index % len(prompts)] for index in range(batch_size)]
    batch_seconds = sum(time_steps(model, batch, fill, tokens))
    timings = {
        f"{name}_ms_p{percentile}": 1000 * float(np.percentile(times, percentile))
        for name, times in (("first_token", first_token_times), ("token", token_times))
        for percentile in (50, 95)
    }
    seconds = sum(first_token_times) + sum(token_times)
    timings |= {
        "tokens_per_second_batch_1": len(first_token_times) * tokens / seconds,
        f"tokens_per_second_batch_{batch_size}": batch_size * tokens / batch_seconds,
    }
    return {name: round(value, 2) for name, value in timings.items()}


def time_decoding(model: Any, prompts: Sequence[list[int]], fill: int, tokens: int) -> list[float]:
    """Return the seconds of each decoding step; the first step includes reading the prompts."""
    import torch

    ids, mask = (part.to(model.device) for part in pad_rows(prompts, fill, left=True))
    cache, times = None, []
    for _ in range(tokens):
        start = time.perf_counter()
        with torch.inference_mode():
            output = model(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        ids, cache = output.logits[:, -1:].argmax(-1), output.past_key_values
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        ids[0, 0].item()  # waits until the device has finished
        times.append(time.perf_counter() - start)
    return times
