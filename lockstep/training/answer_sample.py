"""Validation records that a model answers while it is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lockstep.inference import generation
from lockstep.metrics import scores
from lockstep.models import chat
from lockstep.records import Record, sample_evenly
from lockstep.training.train_params import Train


@dataclass(frozen=True, slots=True)
class Sample:
    """Prompts, the answers expected, and how to ask."""

    tokenizer: Any
    prompts: list[list[int]]
    reference: list[str]
    batch_size: int
    tokens: int
    """Longest answer."""

    def figures(self, model: Any) -> dict[str, float]:
        """exact_match and rouge_l, means over the sample, of greedy answers."""
        own = model.generation_config
        prediction = generation.generate_answers(
            model, self.tokenizer, self.prompts, self.batch_size, self.tokens
        )
        model.generation_config = own
        pairs = [(want, one.text) for want, one in zip(self.reference, prediction, strict=True)]
        return {
            "exact_match": fmean(scores.exact_match(want, have) for want, have in pairs),
            "rouge_l": fmean(scores.rouge_l(want, have) for want, have in pairs),
        }


def draw(tokenizer: Any, records: Sequence[Record], chosen: Train) -> Sample | None:
    """`evaluation_answers` records of the chosen tasks, evenly spread; None where none is asked."""
    own = [r for r in records if not chosen.tasks or r.task in chosen.tasks]
    rows = sample_evenly(own, chosen.evaluation_answers)
    if not rows:
        return None
    prompts = [chat.encode_prompt(tokenizer, row.prompt, row.tools) for row in rows]
    return Sample(
        tokenizer,
        prompts,
        [row.answer for row in rows],
        chosen.batch_size,
        chosen.evaluation_tokens,
    )
