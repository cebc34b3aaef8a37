"""Generate answers with llama.cpp, one prompt at a time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockstep import progress
from lockstep.inference import generation
from lockstep.inference.llama_cpp import GREEDY, LlamaCpp
from lockstep.models.answer_format import GeneratedAnswer
from lockstep.models.chat import ChatTokenizer


@dataclass(frozen=True, slots=True)
class LlamaCppGenerator:
    """An `AnswerGenerator` for a model that llama.cpp has loaded.

    Prompts are not batched: in a batch, the other prompts would change the last bits of an answer.
    """

    runtime: LlamaCpp
    tokenizer: ChatTokenizer

    def generate(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[GeneratedAnswer]:
        """Return the greedy answer to each prompt."""
        return [self._answer(prompt, max_new_tokens, **GREEDY) for prompt in prompts]

    def sample(
        self,
        prompts: Sequence[tuple[list[int], int]],
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> list[GeneratedAnswer]:
        """Return a sampled answer to each pair of a prompt and the number of its draw.

        llama.cpp takes seeds of 32 bits, and the largest stands for a random seed.
        """
        return [
            self._answer(
                prompt,
                max_new_tokens,
                **GREEDY | {"temperature": temperature},
                seed=generation.compute_draw_seed(prompt, draw, seed) % (2**32 - 1),
            )
            for prompt, draw in prompts
        ]

    def _answer(self, prompt: list[int], max_new_tokens: int, **options: Any) -> GeneratedAnswer:
        ids = generate_ids(self.runtime, prompt, max_new_tokens, self.tokenizer.end_ids, **options)
        progress.advance(1)
        return self.tokenizer.parse_answer(ids)


def generate_ids(
    runtime: LlamaCpp,
    prompt: list[int],
    max_new_tokens: int,
    end_ids: Sequence[int],
    **options: Any,
) -> list[int]:
    """Return the ids that the model generates up to one of `end_ids` or `max_new_tokens`.

    llama.cpp also stops at tokens that it takes for end tokens by their names; the answer is
    continued after them. It may not know one of `end_ids`; then ids follow that token.
    """
    ids: list[int] = []
    while len(ids) < max_new_tokens:
        reply = runtime.complete(prompt + ids, max_new_tokens - len(ids), **options)
        ids += reply["tokens"]
        if reply["stop_type"] != "eos" or ids[-1] in end_ids:
            break
    return ids


def time_tokens(runtime: LlamaCpp, prompts: list[list[int]], fill: int, tokens: int) -> list[float]:
    """Return the seconds of each decoding step; the first step includes reading the prompts.

    llama.cpp reports the time for the prompt and the time for all tokens, so the further steps
    have the same duration. All prompts are answered in one batch. `fill` is not used.
    """
    if len(prompts) != runtime.slots:
        with LlamaCpp(runtime.file, slots=len(prompts)) as batch_runtime:
            time_tokens(batch_runtime, prompts, fill, 1)  # warm-up
            return time_tokens(batch_runtime, prompts, fill, tokens)
    runtime.load(max(map(len, prompts)) + tokens)
    start = time.perf_counter()
    replies = runtime.complete_batch(prompts, tokens, ignore_eos=True, **GREEDY)
    seconds = time.perf_counter() - start
    first = max(reply["timings"]["prompt_ms"] for reply in replies) / 1000
    further = tokens - 1
    return [first] + [(seconds - first) / max(1, further)] * further
