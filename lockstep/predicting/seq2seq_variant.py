"""A variant of a sequence-to-sequence model, whose source and answer have tokens of their own."""

from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import UserError
from lockstep.inference import latency, seq2seq_generation, seq2seq_likelihood
from lockstep.inference.generation import AnswerGenerator
from lockstep.inference.likelihood import AnswerLoss
from lockstep.models import seq2seq
from lockstep.models.gguf_folder import is_gguf_folder
from lockstep.models.heads import Head
from lockstep.predicting.gguf_variant import GgufVariant
from lockstep.predicting.predict_params import PredictParams
from lockstep.predicting.variant_model import UNLIMITED, VariantModel
from lockstep.records import Record
from lockstep.suites import Suite


class Seq2SeqVariant(VariantModel):
    """A variant that reads a prompt by its encoder and writes the answer by its decoder."""

    @property
    def generator(self) -> AnswerGenerator:
        """Return transformers' engine that generates answers."""
        return seq2seq_generation.Seq2SeqGenerator(
            self.model, self.tokenizer, self.settings.batch_size
        )

    def check_context(self, suite: Suite, records: Sequence[Record], labels: Sequence[str]) -> None:
        """Raise UserError if a prompt or the longest answer exceeds the model's context.

        lm-eval's second opinion is refused too: lm-eval scores labels without the special tokens
        before them.
        """
        if suite.answer == "choice" and self.settings.lm_eval.records:
            raise UserError(
                "params.yaml: predict.lm_eval.records: lm-eval gives no second opinion on "
                "sequence-to-sequence models; set it to 0"
            )
        for record in records:
            if not self.fits_context(suite, record, labels):
                raise UserError(
                    f"{record.origin}: a prompt of {len(self.encode_prompt(record))} tokens or an "
                    f"answer of {self._count_answer_tokens(suite, labels)} exceeds the model's "
                    f"context of {self.context}; shorten it, or lower predict.max_new_tokens"
                )

    def fits_context(self, suite: Suite, record: Record, labels: Sequence[str]) -> bool:
        """Whether the encoder has room for the prompt, and the decoder for the longest answer."""
        lengths = len(self.encode_prompt(record)), self._count_answer_tokens(suite, labels)
        return max(lengths) <= self.context

    def compute_reference_losses(self, records: Sequence[Record]) -> list[AnswerLoss]:
        """Return the loss of each reference and its tokens, as many as the context holds."""
        limit = int(min(self.context, UNLIMITED))
        pairs = [seq2seq.encode_pair(self.tokenizer, record, limit) for record in records]
        return seq2seq_likelihood.compute_answer_losses(self.model, pairs, self.settings.batch_size)

    def measure_latency(self, records: Sequence[Record]) -> dict[str, float]:
        """Measure how fast the model generates."""
        if not records:
            return {}
        return latency.measure_latency(
            self.model,
            [self.encode_prompt(record) for record in records],
            self.tokenizer.pad_token_id,
            self.settings.batch_size,
            self.settings.max_new_tokens,
            seq2seq_generation.time_tokens,
        )

    def _encode_prompt(self, record: Record) -> list[int]:
        return seq2seq.encode_source(self.tokenizer, record, UNLIMITED)[0]

    def _encode_label(self, label: str) -> list[int]:
        return seq2seq.encode_target(self.tokenizer, label)

    def _score_choices(
        self, prompts: Sequence[list[int]], choices: Sequence[list[int]]
    ) -> list[list[float]]:
        return seq2seq_likelihood.score_choices(
            self.model, prompts, choices, self.settings.batch_size
        )


def open_variant(
    folder: Path, attention: str, settings: PredictParams, new_head: Head | None
) -> VariantModel:
    """Return the variant in a model folder; a base without a head gets `new_head`, if any.

    Its files decide what it is: llama.cpp loads a GGUF file, whatever `predict.backend` says. Raise
    UserError if the settings do not suit a sequence-to-sequence model.
    """
    if is_gguf_folder(folder):
        return GgufVariant(folder, attention, settings)
    if new_head is not None or not seq2seq.is_seq2seq(folder):
        return VariantModel(folder, attention, settings, new_head)
    if settings.backend == "vllm":
        raise UserError(
            "params.yaml: predict.backend: vllm generates with causal models only; set it to "
            "transformers"
        )
    return Seq2SeqVariant(folder, attention, settings, None)
