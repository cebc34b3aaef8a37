"""All that a training is before a model is loaded, every mistake in it told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.models import model_io
from lockstep.models.model_io import Head
from lockstep.records import Record
from lockstep.training import adapters, answer_sample, new_heads, trainer_arguments, training_rows
from lockstep.training.train_params import Strategies, Train


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is learnt, by what, and how."""

    tokenizer: Any
    train: training_rows.Rows
    validation: training_rows.Rows
    head: Head | None
    """What the model ends in; None for text."""
    chosen: Train
    strategies: Strategies
    config: Any
    """The configuration of the objective's trainer."""
    adapter: Any
    """PEFT's configuration, None where no adapter is added."""
    ratio: float | None
    """LoRA+'s, None without it."""
    sample: answer_sample.Sample | None
    """Validation records that are answered at each evaluation."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        rows = len(self.train.rows)
        if self.chosen.batching == "packed":
            from datasets import Dataset

            lengths = [{"input_ids": [0] * length} for length in self.train.lengths]
            rows = len(self.packed(Dataset.from_list(lengths)))
        return trainer_arguments.steps(rows, self.chosen)

    def packed(self, rows: Any) -> Any:
        """The rows of a dataset in sequences of at most `max_length` tokens, none of them split.

        The longest first, each where it leaves the least room (best fit decreasing).
        """
        from trl import pack_dataset

        return pack_dataset(rows, self.chosen.max_length, "bfd")


def check_dropout(config: Any, dropout: Mapping[str, float]) -> None:
    """Refuse a key that the base's configuration does not have as a probability of dropping."""
    for key in dropout:
        if "drop" not in key or not hasattr(config, key):
            known = ", ".join(sorted(name for name in config.to_dict() if "drop" in name))
            raise UserError(
                f"params.yaml: train.dropout.{key}: the base has no such key; "
                f"it has {known or 'none'}"
            )


def check_context(config: Any, longest: int) -> None:
    """Refuse rows of more tokens than the base has positions for."""
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    if context is not None and longest > context:
        raise UserError(
            f"params.yaml: train.max_length: the longest row has {longest} tokens and the base's "
            f"context {context}; lower it, or widen the context by base.configuration"
        )


def draw_up(
    base: Path,
    learnt: Sequence[Record],
    held_out: Sequence[Record],
    labels: Mapping[str, Sequence[str]],
    chosen: Train,
    options: Strategies,
    config: Any,
) -> Plan:
    """Render the rows and hold the options against the libraries; UserError on any mistake."""
    from transformers import AutoConfig

    base_config = AutoConfig.from_pretrained(base, local_files_only=True)
    check_dropout(base_config, chosen.dropout)
    adapter = adapters.configuration(chosen, options, base)
    ratio = adapters.learning_rate_ratio(chosen, options)
    tokenizer = model_io.load_tokenizer(base)
    learnt = training_rows.weighted(learnt)
    head = new_heads.of(chosen, learnt, labels)
    plan = Plan(
        tokenizer=tokenizer,
        train=training_rows.render(tokenizer, learnt, chosen, head),
        validation=training_rows.render(tokenizer, held_out, chosen, head, "validation"),
        head=head,
        chosen=chosen,
        strategies=options,
        config=config,
        adapter=adapter,
        ratio=ratio,
        sample=answer_sample.draw(tokenizer, held_out, chosen),
    )
    check_context(base_config, max(plan.train.lengths + plan.validation.lengths))
    if chosen.warmup >= max(2, plan.steps):
        raise UserError(
            f"params.yaml: train.warmup: {chosen.warmup:g} steps, and the run has {plan.steps}: "
            "its rate would never be train.learning_rate; take fewer, or a share below 1"
        )
    return plan
