"""Who writes the answers of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lockstep.inference import generation, sampling
from lockstep.inference.generation import Written


class Writer(Protocol):
    """Reads prompts as token ids; an answer is the text before the end of turn."""

    def answers(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[Written]:
        """The greedy answer to each prompt."""

    def samples(
        self,
        prompts: Sequence[tuple[list[int], int]],
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> list[Written]:
        """A drawn answer to each prompt; another number beside it is another draw."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that transformers has loaded."""

    model: Any
    tokenizer: Any
    batch_size: int

    def answers(self, prompts: Sequence[list[int]], max_new_tokens: int) -> list[Written]:
        """In batches of like length."""
        return generation.answers(
            self.model, self.tokenizer, prompts, self.batch_size, max_new_tokens
        )

    def samples(
        self,
        prompts: Sequence[tuple[list[int], int]],
        temperature: float,
        max_new_tokens: int,
        seed: int,
    ) -> list[Written]:
        """One prompt at a time."""
        return sampling.answers(
            self.model, self.tokenizer, prompts, temperature, max_new_tokens, seed
        )
