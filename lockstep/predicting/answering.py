"""A loaded variant of the model, and the answers that it gives."""

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.inference import head_outputs, latency, likelihood
from lockstep.inference.generation import AnswerGenerator, TransformersGenerator
from lockstep.inference.vllm_backend import VllmGenerator
from lockstep.metrics.suites import WRITTEN, Suite
from lockstep.models import chat, compute, model_io
from lockstep.models.model_io import Head
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.predict_params import Asked
from lockstep.records import Record

UNCUT = 2**31
"""Tokens that no record has."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, and what the model made of each answer that it could choose."""

    text: str
    option_scores: dict[str, float] = field(default_factory=dict)
    truncated: bool = False
    """Whether it is as long as answers may be, and the model did not end it."""


class Answering:
    """A model that writes text, or ends in numbers; `suite.answer` says how it is asked."""

    def __init__(self, folder: Path, attention: str, chosen: Asked, head: Head | None) -> None:
        """`head` is put on a base that has none: random, so its answers are chance."""
        self.chosen, self.folder, self.attention = chosen, folder, attention
        self.head = model_io.read_head(folder) or head
        self.new = None if model_io.read_head(folder) else head
        self.tokenizer = model_io.load_tokenizer(folder)
        self._model: Any = None
        self._engine: VllmGenerator | None = None

    @property
    def model(self) -> Any:
        """The weights, loaded when they are needed; vLLM gives the device back first."""
        if self._model is None:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
            place = compute.select_device()
            self._model = model_io.load_model(
                self.folder, "auto", self.attention, place, head=self.new
            )
            self._model.config.pad_token_id = self.tokenizer.pad_token_id
        return self._model

    @property
    def writer(self) -> AnswerGenerator:
        """Who writes the answers; before vLLM is started, our own weights leave the device."""
        if self.chosen.backend == "transformers":
            return TransformersGenerator(self.model, self.tokenizer, self.chosen.batch_size)
        if self._engine is None:
            from torch import cuda

            self._model = None
            gc.collect()
            cuda.empty_cache()
            self._engine = VllmGenerator(self.folder, self.tokenizer)
        return self._engine

    def check(self, suite: Suite, rows: Sequence[Record], labels: Sequence[str]) -> None:
        """Refuse a prompt that leaves the answer no room in the context."""
        if self.chosen.max_length > self.context:
            raise UserError(
                f"params.yaml: evaluate.max_length: {self.chosen.max_length} tokens are more than "
                f"the model's context of {self.context}; lower it"
            )
        for row in rows:
            if not self.holds(suite, row, labels):
                raise UserError(
                    f"{row.origin}: a prompt of {len(self.prompt(row))} tokens leaves no room for "
                    f"an answer of {self._longest(suite, labels)} in the model's context of "
                    f"{self.context}; shorten it, or lower evaluate.max_new_tokens"
                )

    def holds(self, suite: Suite, row: Record, labels: Sequence[str]) -> bool:
        """Whether the context holds the prompt and an answer to it."""
        return len(self.prompt(row)) + self._longest(suite, labels) <= self.context

    @cached_property
    def context(self) -> float:
        """Tokens that the model reads and writes at most: without end where nothing bounds them, or
        where inputs are cut to max_length."""
        from transformers import AutoConfig

        if self.head is not None:
            return math.inf
        config = AutoConfig.from_pretrained(self.folder, local_files_only=True).get_text_config()
        return getattr(config, "max_position_embeddings", None) or math.inf

    def _longest(self, suite: Suite, labels: Sequence[str]) -> int:
        """Tokens of the longest answer."""
        if suite.answer in WRITTEN:
            return self.chosen.max_new_tokens
        return max((len(chat.encode_answer(self.tokenizer, label)) for label in labels), default=0)

    def samples(self, rows: Sequence[tuple[Record, int]], seed: int) -> list[Answer]:
        """A sampled answer to each record of a suite of written ones, and the number of its
        draw."""
        prompts = [(self.prompt(row), turn) for row, turn in rows]
        temperature, tokens = self.chosen.stability.temperature, self.chosen.max_new_tokens
        written = self.writer.sample(prompts, temperature, tokens, seed)
        return [Answer(one.text, truncated=one.truncated) for one in written]

    def timings(self, rows: Sequence[Record]) -> dict[str, float]:
        """How fast the model writes; of one that ends in numbers nothing."""
        if self.head is not None or not rows:
            return {}
        fill, size = self.tokenizer.pad_token_id, self.chosen.batch_size
        tokens = self.chosen.max_new_tokens
        return latency.measure_latency(self.model, self._prompts(rows), fill, size, tokens)

    def answers(self, suite: Suite, rows: Sequence[Record], labels: Sequence[str]) -> list[Answer]:
        """What the model answers to each record of a suite; `labels` are those of its task."""
        if suite.answer == "choice":
            return self._choose(rows, labels)
        if suite.answer == "preference":
            return self._prefer(rows)
        if self.head is not None:
            return self._decide(self.head, rows)
        written = self.writer.generate(self._prompts(rows), self.chosen.max_new_tokens)
        return [Answer(one.text, truncated=one.truncated) for one in written]

    def prompt(self, row: Record) -> list[int]:
        """The token ids that the model reads before it answers."""
        if self.head is not None:
            return chat.encode_input(self.tokenizer, row, self.chosen.max_length)[0]
        return chat.encode_prompt(self.tokenizer, row.prompt, row.tools)

    def losses(self, rows: Sequence[Record]) -> list[likelihood.AnswerLoss]:
        """How unlikely each expected answer is; long ones are read window by window."""
        size, fits = self.chosen.max_length, self.chosen.batch_size
        examples = [chat.encode_example(self.tokenizer, row, UNCUT) for row in rows]
        parts = [likelihood.split_into_windows(example, size) for example in examples]
        losses = likelihood.compute_answer_losses(
            self.model, [one for part in parts for one in part], fits
        )
        return likelihood.sum_window_losses(losses, [len(part) for part in parts])

    def second_opinion(self, rows: Sequence[Record], labels: Sequence[str]) -> float:
        """Accuracy on the same records by lm-eval."""
        return lm_eval_tasks.accuracy(
            self.model, self.tokenizer, rows, labels, self.chosen.batch_size
        )

    def harness(self, tasks: Path) -> dict[str, dict[str, float]]:
        """The figures of lm-eval's own tasks, and of those in a folder."""
        size = self.chosen.batch_size
        return lm_eval_tasks.results(self.model, self.tokenizer, self.chosen.harness, tasks, size)

    def _choose(self, rows: Sequence[Record], labels: Sequence[str]) -> list[Answer]:
        choices = [chat.encode_answer(self.tokenizer, label) for label in labels]
        scores = likelihood.score_choices(
            self.model, self._prompts(rows), choices, self.chosen.batch_size
        )
        found = [dict(zip(labels, row, strict=True)) for row in scores]
        return [
            Answer(max(option_scores, key=option_scores.__getitem__), option_scores)
            for option_scores in found
        ]

    def _decide(self, head: Head, rows: Sequence[Record]) -> list[Answer]:
        found = self._numbers([self.prompt(row) for row in rows])
        return [
            Answer(
                head_outputs.format_answer(head, numbers),
                dict(zip(head.labels, numbers, strict=False)),
            )
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
        inputs = [chat.encode_example(self.tokenizer, row, length).input_ids for row in rows]
        return [numbers[0] for numbers in self._numbers(inputs)]

    def _numbers(self, inputs: Sequence[list[int]]) -> list[list[float]]:
        fill, size = self.tokenizer.pad_token_id, self.chosen.batch_size
        return head_outputs.compute_outputs(self.model, inputs, fill, size)

    def _prompts(self, rows: Sequence[Record]) -> list[list[int]]:
        return [self.prompt(row) for row in rows]
