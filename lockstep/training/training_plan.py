"""Plan a training run before a model loads: render rows, build configurations, check both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.models import compute, context, loading, saving, seq2seq
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.params import Section, Seed
from lockstep.records import Record
from lockstep.training import (
    adapters,
    answer_sample,
    seq2seq_checks,
    trainer_arguments,
    training_rows,
)
from lockstep.training.train_params import TrainParams


class Params(Section):
    """The sections of params.yaml that determine a training run."""

    seed: Seed
    compute: compute.ComputeParams
    weights: saving.WeightsParams
    train: TrainParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Rows, model head and library configurations of a training run."""

    params: TrainParams
    tokenizer: ChatTokenizer
    train_rows: training_rows.Rows
    validation_rows: training_rows.Rows
    head: Head | None
    """Head of the model; None for a generative model."""
    is_seq2seq: bool
    """Whether the generative model is an encoder-decoder."""
    skipped_rows: int
    """Number of training rows left out because their answer is undesirable."""
    trainer_config: Any
    """Configuration of the objective's trainer, e.g. trl.SFTConfig."""
    adapter_config: Any
    """PEFT's configuration; None for the strategies full and freeze."""
    lora_plus_ratio: float | None
    """Learning rate of LoRA's B divided by that of A; None without LoRA+."""
    answer_sample: answer_sample.AnswerSample | None
    """Validation records that are answered at each evaluation; None if there are none."""

    @property
    def steps(self) -> int:
        """Number of optimizer steps of the run."""
        rows = len(self.train_rows.rows)
        if self.params.batching == "packed":
            from datasets import Dataset

            lengths = [{"input_ids": [0] * length} for length in self.train_rows.lengths]
            rows = len(self.pack(Dataset.from_list(lengths)))
        return trainer_arguments.count_steps(rows, self.params)

    @property
    def unused_weights(self) -> list[str]:
        """Tasks of `sft.task_weights` that no training row has, such as those of other data."""
        return sorted(self.params.sft.task_weights.keys() - set(self.train_rows.tasks))

    def pack(self, dataset: Any) -> Any:
        """Pack the rows of a dataset into sequences of at most `max_length` tokens.

        No row is split. Rows are placed by best fit, the longest first (best-fit decreasing).
        """
        from trl import pack_dataset

        return pack_dataset(dataset, self.params.max_length, "bfd")


def plan_training(
    base: Path,
    train_records: Sequence[Record],
    validation_records: Sequence[Record],
    labels: Mapping[str, Sequence[str]],
    settings: Params,
    trainer_config: Any,
) -> Plan:
    """Render the rows and build the configurations of a run.

    `labels` maps each task to the labels that prepare found for it. No weights are loaded. Raise
    UserError if a record does not suit the objective or a library refuses an option.
    """
    from transformers import AutoConfig

    params = settings.train
    base_config = AutoConfig.from_pretrained(base, local_files_only=True)
    if base_config.is_encoder_decoder:
        seq2seq_checks.check_params(params)
    is_seq2seq = not params.has_head and seq2seq.is_seq2seq(base)
    check_dropout(base_config, params.dropout)
    adapter_config = adapters.build_adapter_config(params, base, is_seq2seq)
    lora_plus_ratio = adapters.read_lora_plus_ratio(params)
    tokenizer = loading.load_tokenizer(base)
    repeated = training_rows.repeat_by_weight(train_records)
    train = training_rows.select_records(repeated, params, "training")
    validation = training_rows.select_records(validation_records, params, "validation")
    head = choose_head(params, train.records, labels)
    plan = Plan(
        params=params,
        tokenizer=tokenizer,
        train_rows=training_rows.render_rows(tokenizer, train.records, params, head, is_seq2seq),
        validation_rows=training_rows.render_rows(
            tokenizer, validation.records, params, head, is_seq2seq
        ),
        head=head,
        is_seq2seq=is_seq2seq,
        skipped_rows=train.skipped,
        trainer_config=trainer_config,
        adapter_config=adapter_config,
        lora_plus_ratio=lora_plus_ratio,
        answer_sample=answer_sample.draw_sample(tokenizer, validation.records, params, is_seq2seq),
    )
    check_context(base_config, max(plan.train_rows.longest, plan.validation_rows.longest))
    check_warmup(params, plan.steps)
    return plan


def check_options(params: TrainParams, seed: int, device: str) -> None:
    """Raise UserError with every option that TRL, transformers or PEFT refuse.

    Importing them takes seconds. No model is loaded.
    """
    checks: tuple[Callable[[], Any], ...] = (
        lambda: trainer_arguments.build_trainer_config(params, seed, device, Path()),
        lambda: adapters.build_adapter_config(params, Path()),
        lambda: adapters.read_lora_plus_ratio(params),
        lambda: adapters.read_double_quantization(params),
    )
    mistakes = []
    for check in checks:
        try:
            check()
        except UserError as error:
            mistakes.append(error.message)
    if mistakes:
        raise UserError("\n".join(mistakes))


def choose_head(
    params: TrainParams, records: Sequence[Record], labels: Mapping[str, Sequence[str]]
) -> Head | None:
    """Return the head that the objective needs for these records; None for a generative model.

    `labels` maps each task to the labels that prepare found for it. Raise UserError if a
    classification has fewer than two labels.
    """
    if not params.has_head:
        return None
    if params.objective != "classification":
        return Head("regression", [])
    tasks = {record.task for record in records}
    names = sorted({label for task in tasks for label in labels.get(task, ())})
    if len(names) < 2:
        raise UserError(
            "params.yaml: train.objective: classification needs at least two labels; name tasks "
            "that have labels in train.tasks"
        )
    is_single = all(record.answer in names for record in records)
    return Head("single_label_classification" if is_single else "multi_label_classification", names)


def check_dropout(config: Any, dropout: Mapping[str, float]) -> None:
    """Raise UserError if a key is not a dropout probability of the base's config.json."""
    for key in dropout:
        if "drop" not in key or not hasattr(config, key):
            known = ", ".join(sorted(name for name in config.to_dict() if "drop" in name))
            raise UserError(
                f"params.yaml: train.dropout.{key}: the base has no such key; "
                f"known: {known or 'none'}"
            )


def check_context(config: Any, longest: int) -> None:
    """Raise UserError if the longest row has more tokens than the base has positions."""
    limit = context.read_context(config)
    if limit is not None and longest > limit:
        raise UserError(
            f"params.yaml: train.max_length: the longest row has {longest} tokens, but the base's "
            f"context is {limit}; lower it, or extend the context by base.configuration"
        )


def check_warmup(params: TrainParams, steps: int) -> None:
    """Raise UserError if the warm-up does not end before the run does."""
    if params.warmup >= max(2, steps):
        raise UserError(
            f"params.yaml: train.warmup: {params.warmup:g} steps, but the run has {steps}, so it "
            "would never reach train.learning_rate; lower it, or use a share below 1"
        )
