"""Validation records that the model answers at each evaluation of a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lockstep.inference import generation, seq2seq_generation
from lockstep.metrics import scores
from lockstep.models import seq2seq
from lockstep.models.chat import ChatTokenizer
from lockstep.records import Record, sample_evenly
from lockstep.training.train_params import TrainParams


@dataclass(frozen=True, slots=True)
class AnswerSample:
    """Prompts of validation records and their reference answers."""

    tokenizer: ChatTokenizer
    prompts: list[list[int]]
    """Token ids of each prompt."""
    references: list[str]
    batch_size: int
    max_new_tokens: int
    """Maximum number of tokens of an answer."""
    is_seq2seq: bool
    """Whether the model is an encoder-decoder."""

    def compute_metrics(self, model: Any) -> dict[str, float]:
        """Return the mean exact_match and rouge_l of the model's greedy answers."""
        generation_config = model.generation_config
        backend: Any = seq2seq_generation if self.is_seq2seq else generation
        answers = backend.generate_answers(
            model, self.tokenizer, self.prompts, self.batch_size, self.max_new_tokens
        )
        model.generation_config = generation_config
        pairs = [
            (reference, answer.text)
            for reference, answer in zip(self.references, answers, strict=True)
        ]
        return {
            "exact_match": fmean(scores.exact_match(*pair) for pair in pairs),
            "rouge_l": fmean(scores.rouge_l(*pair) for pair in pairs),
        }


def draw_sample(
    tokenizer: ChatTokenizer,
    records: Sequence[Record],
    params: TrainParams,
    is_seq2seq: bool = False,
) -> AnswerSample | None:
    """Return `evaluation_answers` of the records, sampled evenly; None if there are none.

    `records` are those of the trained tasks. Undesirable answers are no references. `is_seq2seq`
    says whether the model is an encoder-decoder, whose sources are truncated as in training.
    """
    candidates = [record for record in records if record.desirable is not False]
    sample = sample_evenly(candidates, params.evaluation_answers)
    if not sample:
        return None
    return AnswerSample(
        tokenizer,
        [
            seq2seq.encode_source(tokenizer, record, params.max_length)[0]
            if is_seq2seq
            else tokenizer.encode_prompt(record.prompt, record.tools)
            for record in sample
        ],
        [record.answer for record in sample],
        params.batch_size,
        params.evaluation_tokens,
        is_seq2seq,
    )
