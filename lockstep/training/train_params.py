"""What params.yaml says of training: the objective, what is tuned, how fast, for how long."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from lockstep.params import (
    Fraction,
    MixedPrecision,
    NaturalInt,
    PositiveFloat,
    PositiveInt,
    Rate,
    Section,
)

Objective = Literal[
    "sft", "dpo", "orpo", "simpo", "kto", "reward", "grpo", "classification", "regression"
]
Strategy = Literal[
    "full",
    "freeze",
    "lora",
    "qlora",
    "adalora",
    "ia3",
    "adapter",
    "prompt",
    "p_tuning",
    "prefix",
    "trainable_tokens",
]
Options = dict[str, JsonValue]
"""Options of a library's configuration class, held against it when training starts."""


class Sft(Section):
    """Read where objective is sft."""

    loss_on: Literal["last", "all"]
    """Which assistant turns are learnt: the last one, or all."""
    weighting: Literal["fixed", "uncertainty", "loss_ratio"]
    """Of the tasks' losses: by `task_weights`, or learnt (learning.weighting)."""
    task_weights: dict[str, PositiveFloat]
    """fixed: task -> weight of its loss; 1 where a task is not named."""


class Reward(Section):
    """One of GRPO's rewards, each between 0 and 1."""

    kind: Literal["exact_match", "json", "length"]
    """exact_match: the answer is the expected one; json: it parses; length: it is no longer than
    the expected one, less 1 for each time more."""
    weight: PositiveFloat


class Grpo(Section):
    """Read where objective is grpo."""

    rewards: Annotated[list[Reward], Field(min_length=1)]


class EarlyStopping(Section):
    """When training ends before its last epoch; the best weights are then the result."""

    patience: NaturalInt
    """Evaluations in a row without a better figure; 0: never."""
    metric: str
    """Column of log.csv without `validation_`: loss, exact_match, accuracy …"""
    min_change: Annotated[float, Field(ge=0)]
    """By how much a figure must be better to count."""


class Train(Section):
    """What is learnt from which records, how fast, for how long."""

    objective: Objective
    strategy: Strategy
    tasks: list[str]
    """Only records of these tasks; none: all."""
    epochs: PositiveFloat
    batch_size: PositiveInt
    """Rows of one forward pass."""
    accumulation_steps: PositiveInt
    """Forward passes of one optimizer step."""
    learning_rate: PositiveFloat
    """Peak, after warm-up."""
    schedule: str
    """Of the learning rate, by its name in transformers (SchedulerType)."""
    warmup: Annotated[float, Field(ge=0)]
    """Optimizer steps in which the rate rises from 0; below 1, their share of all steps."""
    optimizer: str
    """By its name in transformers (OptimizerNames), or muon."""
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: PositiveFloat
    """Gradients are clipped to this 2-norm."""
    precision: MixedPrecision
    """Of the arithmetic; trained weights are kept in 32 bits. fp16 scales the loss as it goes."""
    batching: Literal["length", "random", "packed"]
    """length: rows of like length in one batch, less padding; packed: several rows, isolated from
    each other, in one sequence of `max_length` tokens."""
    max_length: PositiveInt
    """Tokens of a row; longer ones are cut on the right."""
    max_dropped_fraction: Fraction
    """More rows than this share without any answer left is an error."""
    dropout: dict[str, Rate]
    """Key of the base's config.json -> probability while training; none: as the base has them."""
    activation_checkpointing: bool
    """Compute activations again in the backward pass: less memory, about a third slower."""
    log_steps: PositiveInt
    """Optimizer steps between two lines of log.csv."""
    evaluation_steps: NaturalInt
    """Optimizer steps between two evaluations; 0: only at the end."""
    evaluation_answers: NaturalInt
    """Validation records, evenly spread, that are also answered at each evaluation."""
    evaluation_tokens: PositiveInt
    """Longest of those answers, in tokens."""
    early_stopping: EarlyStopping
    options: Options
    """Further options of the objective's configuration class: TRL's, else TrainingArguments."""
    sft: Sft
    grpo: Grpo

    @model_validator(mode="after")
    def _combinable(self) -> "Train":
        problems = list(_contradictions(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def has_head(self) -> bool:
        """Whether the model ends in numbers, not in text."""
        return self.objective in HEADS


class Freeze(Section):
    """Read where strategy is freeze."""

    layers: NaturalInt
    """Last layers that are tuned, beside the head and the norm before it."""


class Strategies(Section):
    """Options of each strategy: Freeze is ours, all others are PEFT's configuration classes."""

    freeze: Freeze
    lora: Options
    qlora: Options
    adalora: Options
    ia3: Options
    adapter: Options
    prompt: Options
    p_tuning: Options
    prefix: Options
    trainable_tokens: Options


HEADS = ("reward", "classification", "regression")
"""Objectives of a model that ends in numbers."""

SOFT_PROMPTS = ("prompt", "p_tuning", "prefix")
"""Strategies that put learnt vectors before the input and leave the weights as they are."""


MEASURED: dict[str, tuple[str, ...]] = {
    "dpo": ("accuracy", "margin"),
    "orpo": ("accuracy", "margin"),
    "simpo": ("accuracy", "margin"),
    "kto": ("margin",),
    "reward": ("accuracy", "margin"),
    "grpo": ("reward",),
    "classification": ("accuracy",),
    "regression": ("mean_squared_error",),
}
"""What an evaluation gives beside the loss."""


def measured(chosen: Train) -> tuple[str, ...]:
    """The columns of log.csv that an evaluation fills, without `validation_`."""
    answers = ("exact_match", "rouge_l") if chosen.evaluation_answers else ()
    return ("loss", *MEASURED.get(chosen.objective, ()), *answers)


def _contradictions(chosen: Train) -> Iterator[str]:
    """What cannot be combined, in words that say what to change."""
    sft, strategy = chosen.objective == "sft", chosen.strategy
    if chosen.batching == "packed" and not sft:
        yield "batching: packed is for sft; take length or random"
    if chosen.batching == "packed" and strategy in SOFT_PROMPTS:
        yield f"batching: packed rows have no start for the vectors of {strategy}; take length"
    if chosen.batching == "packed" and (chosen.sft.weighting != "fixed" or chosen.sft.task_weights):
        yield "sft: packed rows mix tasks in a sequence; take batching: length"
    if chosen.sft.weighting != "fixed" or chosen.sft.task_weights:
        if strategy == "adalora":
            yield "sft: adalora computes the loss in the model, without task weights; take lora"
        if chosen.options.get("loss_type", "nll") != "nll":
            yield "sft: task weights are of loss_type nll alone; leave one of them out"
    if chosen.sft.weighting != "fixed" and chosen.sft.task_weights:
        yield f"sft.task_weights: {chosen.sft.weighting} finds them itself; leave them out"
    if chosen.activation_checkpointing and strategy == "prefix":
        yield "activation_checkpointing: prefix keeps its vectors in the cache that this drops"
    if strategy in SOFT_PROMPTS and chosen.objective in ("grpo", *HEADS):
        yield f"strategy: {strategy} does not go with {chosen.objective}; take lora"
    if strategy == "trainable_tokens" and not sft:
        yield f"strategy: trainable_tokens goes with sft alone, not {chosen.objective}"
    if chosen.has_head and chosen.evaluation_answers:
        yield f"evaluation_answers: a model tuned for {chosen.objective} writes none; set it to 0"
    stopping, known = chosen.early_stopping, measured(chosen)
    if stopping.patience and stopping.metric not in known:
        yield (
            f"early_stopping.metric: {stopping.metric} is not measured for {chosen.objective}; "
            f"known here: {', '.join(known)}; evaluation_answers adds exact_match and rouge_l"
        )
    if chosen.early_stopping.patience and not chosen.evaluation_steps:
        yield "early_stopping: counts evaluations; set evaluation_steps"
