"""Generate answers with a loaded model: greedy in batches, or sampled one prompt at a time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lockstep.inference.batching import batch_by_length, pad_rows
from lockstep.models.answer_format import GeneratedAnswer
from lockstep.models.chat import ChatTokenizer


class AnswerGenerator(Protocol):
    """A backend that generates answers to prompts, which are lists of token ids."""

    def generate(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[GeneratedAnswer]:
        """Return the greedy answer to each prompt."""

    def sample(
        self,
        prompts: Sequence[tuple[list[int], int]],
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> list[GeneratedAnswer]:
        """Return a sampled answer to each pair of a prompt and the number of its draw."""


@dataclass(frozen=True, slots=True)
class TransformersGenerator:
    """An `AnswerGenerator` for a model that transformers has loaded."""

    model: Any
    tokenizer: ChatTokenizer
    batch_size: int

    def generate(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[GeneratedAnswer]:
        """Return the greedy answer to each prompt, generated in batches of similar length."""
        return generate_answers(
            self.model, self.tokenizer, prompts, self.batch_size, max_new_tokens
        )

    def sample(
        self,
        prompts: Sequence[tuple[list[int], int]],
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> list[GeneratedAnswer]:
        """Return a sampled answer to each pair of a prompt and the number of its draw."""
        return sample_answers(
            self.model, self.tokenizer, prompts, temperature, max_new_tokens, seed
        )


def generate_answers(
    model: Any,
    tokenizer: ChatTokenizer,
    prompts: Sequence[list[int]],
    batch_size: int,
    max_new_tokens: int,
) -> list[GeneratedAnswer]:
    """Return the greedy answer to each prompt, up to the end of turn or `max_new_tokens`."""
    import torch
    from transformers import GenerationConfig

    # replaces the folder's configuration: a repetition penalty in it would change greedy answers
    model.generation_config = GenerationConfig(
        eos_token_id=list(tokenizer.end_ids),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    answers: dict[int, GeneratedAnswer] = {}
    for batch in batch_by_length([len(prompt) for prompt in prompts], batch_size):
        ids, mask = pad_rows([prompts[i] for i in batch], fill=tokenizer.pad_token_id, left=True)
        with torch.inference_mode():
            sequences = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=max_new_tokens,
            )
        for i, new_ids in zip(batch, sequences[:, ids.shape[1] :].tolist(), strict=True):
            answers[i] = tokenizer.parse_answer(new_ids)
    return [answers[i] for i in range(len(prompts))]


def sample_answers(
    model: Any,
    tokenizer: ChatTokenizer,
    prompts: Sequence[tuple[list[int], int]],
    temperature: float,
    max_new_tokens: int,
    seed: int,
) -> list[GeneratedAnswer]:
    """Return a sampled answer to each pair of a prompt and the number of its draw.

    Every answer has its own random seed and is generated alone, so the other prompts cannot
    change it. The same prompt with another draw number gives another sample.
    """
    import torch
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        eos_token_id=list(tokenizer.end_ids),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=temperature,
        top_k=0,
    )
    answers = []
    for prompt, draw in prompts:
        torch.manual_seed(compute_draw_seed(prompt, draw, seed))
        ids = torch.tensor([prompt], device=model.device)
        with torch.inference_mode():
            sequences = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_new_tokens,
            )
        answers.append(tokenizer.parse_answer(sequences[0, len(prompt) :].tolist()))
    return answers


def compute_draw_seed(prompt: list[int], draw: int, seed: int) -> int:
    """Return the random seed of one sampled answer, from 0 to 2^63 - 1."""
    digest = hashlib.sha256(f"{seed}/{draw}/{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
