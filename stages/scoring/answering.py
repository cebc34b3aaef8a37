"""A loaded variant of the model, and the answers that it gives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from stages import chat, compute, models
from stages.errors import Refusal
from stages.models import Head
from stages.records import Record
from stages.scoring import efficiency, generation, harness, heads, likelihood, sampling, windows
from stages.scoring.settings import Asked
from stages.scoring.suites import WRITTEN, Suite

UNCUT = 2**31
"""Tokens that no record has."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, and what the model made of each answer that it could choose."""

    text: str
    merits: dict[str, float] = field(default_factory=dict)


class Answering:
    """A model that writes text, or ends in numbers; `suite.answer` says how it is asked."""

    def __init__(self, folder: Path, attention: str, chosen: Asked, head: Head | None) -> None:
        """`head` is put on a base that has none: random, so its answers are chance."""
        self.chosen, self.folder, self.attention = chosen, folder, attention
        self.head = models.read_head(folder) or head
        self.new = None if models.read_head(folder) else head
        self.tokenizer = models.load_tokenizer(folder)

    @cached_property
    def model(self) -> Any:
        """The weights, loaded when they are first needed."""
        model = models.load(self.folder, "auto", self.attention, compute.device(), head=self.new)
        model.config.pad_token_id = self.tokenizer.pad_token_id
        return model

    def check(self, suite: Suite, rows: Sequence[Record], labels: Sequence[str]) -> None:
        """Refuse a prompt that leaves the answer no room in the context."""
        from transformers import AutoConfig

        if self.head is not None:
            return  # cut to max_length
        config = AutoConfig.from_pretrained(self.folder, local_files_only=True).get_text_config()
        context = getattr(config, "max_position_embeddings", None) or math.inf
        longest = max((len(chat.answer_ids(self.tokenizer, label)) for label in labels), default=0)
        answer = self.chosen.max_new_tokens if suite.answer in WRITTEN else longest
        if self.chosen.max_length > context:
            raise Refusal(
                f"params.yaml: evaluate.max_length: {self.chosen.max_length} tokens are more than "
                f"the model's context of {context}; lower it"
            )
        for row in rows:
            tokens = len(self.prompt(row))
            if tokens + answer > context:
                raise Refusal(
                    f"{row.origin}: a prompt of {tokens} tokens leaves no room for an answer of "
                    f"{answer} in the model's context of {context}; shorten it, or lower "
                    "evaluate.max_new_tokens"
                )

    def samples(self, rows: Sequence[tuple[Record, int]], seed: int) -> list[Answer]:
        """A sampled answer to each record of a suite of written ones, and the number of its
        draw."""
        prompts = [(self.prompt(row), turn) for row, turn in rows]
        temperature, tokens = self.chosen.stability.temperature, self.chosen.max_new_tokens
        written = sampling.answers(self.model, self.tokenizer, prompts, temperature, tokens, seed)
        return [Answer(text) for text in written]

    def timings(self, rows: Sequence[Record]) -> dict[str, float]:
        """How fast the model writes; of one that ends in numbers nothing."""
        if self.head is not None or not rows:
            return {}
        fill, size = self.tokenizer.pad_token_id, self.chosen.batch_size
        tokens = self.chosen.max_new_tokens
        return efficiency.of_writing(self.model, self._prompts(rows), fill, size, tokens)

    def answers(self, suite: Suite, rows: Sequence[Record], labels: Sequence[str]) -> list[Answer]:
        """What the model answers to each record of a suite; `labels` are those of its task."""
        if suite.answer == "choice":
            return self._choose(rows, labels)
        if suite.answer == "preference":
            return self._prefer(rows)
        if self.head is not None:
            return self._decide(self.head, rows)
        return [Answer(text) for text in self._write(rows)]

    def prompt(self, row: Record) -> list[int]:
        """The token ids that the model reads before it answers."""
        if self.head is not None:
            return chat.input_ids(self.tokenizer, row, self.chosen.max_length)[0]
        return chat.prompt_ids(self.tokenizer, row.prompt, row.tools)

    def losses(self, rows: Sequence[Record]) -> list[likelihood.Loss]:
        """How unlikely each expected answer is; long ones are read window by window."""
        size, fits = self.chosen.max_length, self.chosen.batch_size
        examples = [chat.example(self.tokenizer, row, UNCUT) for row in rows]
        parts = [windows.of(example, size) for example in examples]
        losses = likelihood.answer_losses(self.model, [one for part in parts for one in part], fits)
        return windows.joined(losses, [len(part) for part in parts])

    def second_opinion(self, rows: Sequence[Record], labels: Sequence[str]) -> float:
        """Accuracy on the same records by lm-eval."""
        return harness.accuracy(self.model, self.tokenizer, rows, labels, self.chosen.batch_size)

    def harness(self) -> dict[str, dict[str, float]]:
        """The figures of lm-eval's own tasks."""
        return harness.results(
            self.model, self.tokenizer, self.chosen.harness, self.chosen.batch_size
        )

    def _choose(self, rows: Sequence[Record], labels: Sequence[str]) -> list[Answer]:
        choices = [chat.answer_ids(self.tokenizer, label) for label in labels]
        scores = likelihood.choice_scores(
            self.model, self._prompts(rows), choices, self.chosen.batch_size
        )
        found = [dict(zip(labels, row, strict=True)) for row in scores]
        return [Answer(max(merits, key=merits.__getitem__), merits) for merits in found]

    def _write(self, rows: Sequence[Record]) -> list[str]:
        size, tokens = self.chosen.batch_size, self.chosen.max_new_tokens
        prompts = self._prompts(rows)
        return generation.answers(self.model, self.tokenizer, prompts, size, tokens)

    def _decide(self, head: Head, rows: Sequence[Record]) -> list[Answer]:
        found = self._numbers([self.prompt(row) for row in rows])
        return [
            Answer(heads.answer(head, numbers), dict(zip(head.labels, numbers, strict=False)))
            for numbers in found
        ]

    def _prefer(self, rows: Sequence[Record]) -> list[Answer]:
        """The answer with the greater reward or, of a model that writes, the likelier one."""
        others = [row.with_answer(row.rejected or "") for row in rows]
        chosen, rejected = self._merits(rows), self._merits(others)
        return [
            Answer((row if ours > theirs else other).answer, {"chosen": ours, "rejected": theirs})
            for row, other, ours, theirs in zip(rows, others, chosen, rejected, strict=True)
        ]

    def _merits(self, rows: Sequence[Record]) -> list[float]:
        """The reward of each answer or, of a model that writes, its log-likelihood in nats."""
        if self.head is None:
            return [-loss for loss, _ in self.losses(rows)]
        length = self.chosen.max_length
        inputs = [chat.example(self.tokenizer, row, length).input_ids for row in rows]
        return [numbers[0] for numbers in self._numbers(inputs)]

    def _numbers(self, inputs: Sequence[list[int]]) -> list[list[float]]:
        fill, size = self.tokenizer.pad_token_id, self.chosen.batch_size
        return heads.outputs(self.model, inputs, fill, size)

    def _prompts(self, rows: Sequence[Record]) -> list[list[int]]:
        return [self.prompt(row) for row in rows]
