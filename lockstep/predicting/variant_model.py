"""One variant of the model, and the answers that it gives in each answer form."""

import gc
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.inference import head_outputs, latency, likelihood, vllm_backend
from lockstep.inference.generation import AnswerGenerator, TransformersGenerator
from lockstep.models import context, heads, loading, placement, saving
from lockstep.models.answer_format import GeneratedAnswer
from lockstep.models.chat import Example
from lockstep.models.heads import Head
from lockstep.predicting import lm_eval_tasks
from lockstep.predicting.predict_params import PredictParams
from lockstep.records import Record
from lockstep.suites import GENERATED_FORMS, Suite

UNLIMITED = 2**31
"""Number of tokens that no record reaches."""

MAX_KEPT_PROMPTS = 4096
"""Number of encoded prompts that are kept; a prompt is needed up to five times."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the model."""

    text: str
    option_scores: dict[str, float] = field(default_factory=dict)
    """Score of each answer that the model could choose: log-likelihood in nats, logit or reward."""
    truncated: bool = False
    """Whether max_new_tokens ended the answer before the model did."""
    reasoning: str = ""
    """Text that the model wrote before its answer."""
    reasoning_tokens: int = 0
    """Number of tokens of the reasoning."""

    @classmethod
    def from_generated(cls, answer: GeneratedAnswer) -> "Answer":
        """Return a generated answer in the form that all answers have."""
        return cls(
            answer.text,
            truncated=answer.truncated,
            reasoning=answer.reasoning,
            reasoning_tokens=answer.reasoning_tokens,
        )


class VariantModel:
    """A variant of the model, generative or with a head; its weights load when they are needed."""

    def __init__(
        self, folder: Path, attention: str, settings: PredictParams, new_head: Head | None
    ) -> None:
        """Read the tokenizer of a model folder.

        `new_head` is added to a base that has no head. It is random, so its answers are at chance.
        """
        self.settings, self.folder, self.attention = settings, folder, attention
        saved_head = heads.read_head(folder)
        self.head = saved_head or new_head
        self._new_head = None if saved_head else new_head
        self.tokenizer = loading.load_tokenizer(folder)
        self._longest_labels: dict[tuple[str, ...], int] = {}
        self._prompts: dict[str, list[int]] = {}
        self._model: Any = None
        self._engine: vllm_backend.VllmGenerator | None = None

    @property
    def model(self) -> Any:
        """Return the model that transformers loads; a vLLM engine is closed first."""
        if self._model is None:
            self.close()
            devices = placement.choose_devices(self.folder)
            self._model = loading.load_model(
                self.folder, "auto", self.attention, devices, head=self._new_head
            )
            self._model.config.pad_token_id = self.tokenizer.pad_token_id
        return self._model

    @property
    def generator(self) -> AnswerGenerator:
        """Return the engine that generates answers; the model is unloaded before vLLM starts."""
        if self.settings.backend == "transformers":
            return TransformersGenerator(self.model, self.tokenizer, self.settings.batch_size)
        if self._engine is None:
            from torch import cuda

            self._model = None
            gc.collect()
            cuda.empty_cache()
            self._engine = vllm_backend.VllmGenerator(self.folder, self.tokenizer)
        return self._engine

    @property
    def weight_bytes(self) -> int:
        """Total size of the weight files, in bytes."""
        return saving.count_weight_bytes(self.folder)

    def close(self) -> None:
        """End the engine that generates answers, unless that is transformers."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def check_backend(self, suites: Sequence[Suite]) -> None:
        """Raise UserError if the engine that generates answers cannot run here."""
        if self.settings.uses_vllm(suites):
            vllm_backend.check_model(self.folder)

    @cached_property
    def context(self) -> float:
        """Maximum number of tokens of a prompt with its answer.

        It is infinite where the model states none, and for a model with a head, whose inputs are
        truncated to max_length.
        """
        return self.input_limit if self.head is None else math.inf

    @cached_property
    def input_limit(self) -> float:
        """Maximum number of tokens that the model can read; infinite where it states none."""
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self.folder, local_files_only=True)
        return context.read_context(config) or math.inf

    def check_context(self, suite: Suite, records: Sequence[Record], labels: Sequence[str]) -> None:
        """Raise UserError if a prompt leaves no room for an answer in the model's context."""
        if self.settings.max_length > self.input_limit:
            raise UserError(
                f"params.yaml: predict.max_length: {self.settings.max_length} tokens are more "
                f"than the model's context of {self.input_limit}; lower it"
            )
        for record in records:
            if not self.fits_context(suite, record, labels):
                length = len(self.encode_prompt(record))
                answer_length = self._count_answer_tokens(suite, labels)
                raise UserError(
                    f"{record.origin}: a prompt of {length} tokens leaves no "
                    f"room for an answer of {answer_length} in the model's "
                    f"context of {self.context}; shorten it, or lower predict.max_new_tokens"
                )

    def fits_context(self, suite: Suite, record: Record, labels: Sequence[str]) -> bool:
        """Whether the context has room for the prompt and the longest answer."""
        if math.isinf(self.context):
            return True
        length = len(self.encode_prompt(record)) + self._count_answer_tokens(suite, labels)
        return length <= self.context

    def encode_prompt(self, record: Record) -> list[int]:
        """Return the token ids that the model reads before it answers."""
        key = json.dumps([record.prompt, record.tools])
        if key not in self._prompts:
            if len(self._prompts) == MAX_KEPT_PROMPTS:
                self._prompts.clear()
            self._prompts[key] = self._encode_prompt(record)
        return [*self._prompts[key]]

    def count_prompt_tokens(self, text: str) -> int:
        """Return the number of tokens of a prompt that is one turn of the user."""
        turns = [{"role": "user", "content": text}, {"role": "assistant", "content": ""}]
        return len(self._encode_prompt(Record(messages=turns, task="", source="", origin="")))

    def answer(
        self, suite: Suite, records: Sequence[Record], labels: Sequence[str]
    ) -> list[Answer]:
        """Answer each record of a suite; `labels` are the labels of its task."""
        if suite.answer == "choice":
            return self._choose_label(records, labels)
        if suite.answer == "preference":
            return self._choose_preferred(records)
        if self.head is not None:
            return self._classify(self.head, records)
        prompts = [self.encode_prompt(record) for record in records]
        generated = self.generator.generate(prompts, self.settings.max_new_tokens)
        return [Answer.from_generated(answer) for answer in generated]

    def sample(self, records: Sequence[tuple[Record, int]], seed: int) -> list[Answer]:
        """Sample one answer for each (record, number of the draw)."""
        prompts = [(self.encode_prompt(record), draw) for record, draw in records]
        temperature = self.settings.robustness.temperature
        generated = self.generator.sample(prompts, temperature, self.settings.max_new_tokens, seed)
        return [Answer.from_generated(answer) for answer in generated]

    def compute_reference_losses(self, records: Sequence[Record]) -> list[likelihood.AnswerLoss]:
        """Return the loss of each reference and its tokens; long records are read in windows."""
        examples = [self.tokenizer.encode_example(record, UNLIMITED) for record in records]
        windows = [
            likelihood.split_into_windows(example, self.settings.max_length) for example in examples
        ]
        losses = self._compute_losses([part for parts in windows for part in parts])
        return likelihood.sum_window_losses(losses, [len(parts) for parts in windows])

    def measure_latency(self, records: Sequence[Record]) -> dict[str, float]:
        """Measure how fast the model generates; empty for a model with a head."""
        if self.head is not None or not records:
            return {}
        return latency.measure_latency(
            self.model,
            [self.encode_prompt(record) for record in records],
            self.tokenizer.pad_token_id,
            self.settings.batch_size,
            self.settings.max_new_tokens,
        )

    def measure_lm_eval_accuracy(self, records: Sequence[Record], labels: Sequence[str]) -> float:
        """Return the accuracy that lm-eval measures on the same records."""
        return lm_eval_tasks.measure_accuracy(
            self._build_lm_eval_model(), self.tokenizer, records, labels
        )

    def run_lm_eval(self, tasks: Path) -> dict[str, dict[str, float]]:
        """Return the metrics of lm-eval's own tasks and of those in a folder."""
        if not self.settings.lm_eval.tasks:
            return {}
        return lm_eval_tasks.run_tasks(self._build_lm_eval_model(), self.settings.lm_eval, tasks)

    def _encode_prompt(self, record: Record) -> list[int]:
        if self.head is not None:
            return self.tokenizer.encode_input(record, self.settings.max_length)[0]
        return self.tokenizer.encode_prompt(record.prompt, record.tools)

    def _encode_label(self, label: str) -> list[int]:
        """Return the ids that a generative model must generate to choose a label."""
        return self.tokenizer.encode_answer(label)

    def _build_lm_eval_model(self) -> Any:
        """Return the model as lm-eval asks it."""
        return lm_eval_tasks.wrap_model(self.model, self.tokenizer, self.settings.batch_size)

    def _compute_losses(self, examples: Sequence[Example]) -> list[likelihood.AnswerLoss]:
        """Return the loss of each example's answer and its tokens."""
        return likelihood.compute_answer_losses(self.model, examples, self.settings.batch_size)

    def _score_choices(
        self, prompts: Sequence[list[int]], choices: Sequence[list[int]]
    ) -> list[list[float]]:
        """Return the log-likelihood of each choice after each prompt: [prompt][choice]."""
        return likelihood.score_choices(self.model, prompts, choices, self.settings.batch_size)

    def _count_answer_tokens(self, suite: Suite, labels: Sequence[str]) -> int:
        """Return the number of tokens of the longest possible answer."""
        if suite.answer in GENERATED_FORMS:
            return self.settings.max_new_tokens
        key = tuple(labels)
        if key not in self._longest_labels:
            lengths = (len(self._encode_label(label)) for label in labels)
            self._longest_labels[key] = max(lengths, default=0)
        return self._longest_labels[key]

    def _choose_label(self, records: Sequence[Record], labels: Sequence[str]) -> list[Answer]:
        choices = [self._encode_label(label) for label in labels]
        prompts = [self.encode_prompt(record) for record in records]
        scores = self._score_choices(prompts, choices)
        by_label = [dict(zip(labels, row, strict=True)) for row in scores]
        return [Answer(max(options, key=options.__getitem__), options) for options in by_label]

    def _classify(self, head: Head, records: Sequence[Record]) -> list[Answer]:
        outputs = self._compute_head_outputs([self.encode_prompt(record) for record in records])
        return [
            Answer(head_outputs.format_answer(head, row), dict(zip(head.labels, row, strict=False)))
            for row in outputs
        ]

    def _choose_preferred(self, records: Sequence[Record]) -> list[Answer]:
        """Return the answer with the higher reward or, for a generative model, likelihood."""
        others = [record.with_rejected() for record in records]
        scores = zip(self._score_answers(records), self._score_answers(others), strict=True)
        return [
            Answer(
                (record if chosen > rejected else other).answer,
                {"chosen": chosen, "rejected": rejected},
            )
            for record, other, (chosen, rejected) in zip(records, others, scores, strict=True)
        ]

    def _score_answers(self, records: Sequence[Record]) -> list[float]:
        """Return the reward of each answer or, for a generative model, its log-likelihood."""
        if self.head is None:
            return [-loss for loss, _ in self.compute_reference_losses(records)]
        length = self.settings.max_length
        inputs = [self.tokenizer.encode_example(record, length).input_ids for record in records]
        return [row[0] for row in self._compute_head_outputs(inputs)]

    def _compute_head_outputs(self, inputs: Sequence[list[int]]) -> list[list[float]]:
        return head_outputs.compute_outputs(
            self.model, inputs, self.tokenizer.pad_token_id, self.settings.batch_size
        )
