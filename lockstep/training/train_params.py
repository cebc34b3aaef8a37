"""Section `train` of params.yaml: objective, strategy, schedule, batches, evaluations."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

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
    "bottleneck",
    "prompt",
    "p_tuning",
    "prefix",
    "trainable_tokens",
]
Options = dict[str, JsonValue]
"""Options of a library's configuration class, which the library checks."""

OBJECTIVES_WITH_HEAD = ("reward", "classification", "regression")
"""Objectives that train a model with a head instead of a generative model."""

SOFT_PROMPTS = ("prompt", "p_tuning", "prefix")
"""Strategies that train vectors before the input and keep the weights."""

EVALUATION_METRICS: dict[str, tuple[str, ...]] = {
    "dpo": ("accuracy", "margin"),
    "orpo": ("accuracy", "margin"),
    "simpo": ("accuracy", "margin"),
    "kto": ("margin",),
    "reward": ("accuracy", "margin"),
    "grpo": ("reward",),
    "classification": ("accuracy",),
    "regression": ("mean_squared_error",),
}
"""Metrics of an evaluation beside the loss, by objective."""


TRAINED_WEIGHTINGS = ("uncertainty", "loss_ratio")
"""Values of `sft.weighting` under which the weights of tasks change during training."""


class SftParams(Section):
    """Settings of the objective sft."""

    loss_on: Literal["last", "all"] = "last"
    """Assistant turns that count in the loss: the last one, or all. A turn's own weight has
    precedence: with weight 1 it counts, with weight 0 it does not."""
    weighting: Literal["fixed", "rows", "uncertainty", "loss_ratio"] = "fixed"
    """Weights of the answer tokens' losses: fixed (each token of a task counts equally), rows (each
    row of a task counts equally, however long its answer), or weights of the tasks that are trained
    by uncertainty (Kendall, Gal and Cipolla, 2018) or loss_ratio (Liu, Johns and Davison, 2019)."""
    task_weights: dict[str, PositiveFloat] = {}
    """Weight of the loss of each task under weighting: fixed or rows; 1 for tasks without an
    entry."""


class RewardParams(Section):
    """One reward of the objective grpo; that of a model is any number, others are from 0 to 1."""

    kind: Literal["exact_match", "json", "length", "model"]
    """exact_match: the answer equals the reference. json: the answer parses as JSON. length: 1 for
    an answer no longer than the reference, falling to 0 for one twice as long. model: the output of
    a reward model."""
    weight: PositiveFloat
    """Factor of this reward in the sum of all rewards."""
    model: str = ""
    """Reward model of kind model: a folder that the objective reward trained, such as a copy of
    data/merged, or owner/name@revision on the hub with all 40 digits of the revision."""

    @model_validator(mode="after")
    def _check_model(self) -> "RewardParams":
        if self.kind == "model" and not self.model:
            raise ValueError("kind model needs model: the folder of a reward model")
        if self.kind != "model" and self.model:
            raise ValueError(f"kind {self.kind} uses no model; set kind to model, or remove model")
        return self


class GrpoParams(Section):
    """Settings of the objective grpo."""

    rewards: Annotated[list[RewardParams], Field(min_length=1)] = [
        RewardParams(kind="exact_match", weight=1.0)
    ]
    """Rewards, whose weighted sum is maximized."""


class EarlyStoppingParams(Section):
    """Settings that end training before the last epoch and keep the best weights."""

    patience: NaturalInt = 0
    """Number of evaluations in a row without improvement after which training ends; 0 disables
    early stopping."""
    metric: str = "loss"
    """Metric that must improve: a column of log.csv without `validation_`, e.g. loss, exact_match
    or accuracy."""
    min_change: Annotated[float, Field(ge=0)] = 0.0
    """Minimum difference that counts as an improvement, in the metric's unit."""


class FreezeOptions(Section):
    """Options in `train.adapter` of the strategy freeze."""

    layers: NaturalInt = 1
    """Number of last layers that are trained, in addition to the head and the norm before it."""


class TrainParams(Section):
    """Settings of training."""

    objective: Objective
    """Training objective. It decides which trainer runs and which kinds of records it needs."""
    strategy: Strategy
    """Parameters that are trained: all (full), the last layers (freeze) or an adapter."""
    adapter: Options
    """Options of the strategy: those of PEFT's configuration class, `layers` for freeze, none for
    full. qlora also has double_quantization, lora and qlora also have loraplus_lr_ratio."""
    tasks: list[str] = []
    """Tasks whose records are trained on; an empty list means all tasks."""
    epochs: PositiveFloat
    """Number of passes over the training rows."""
    batch_size: PositiveInt
    """Number of rows of a forward pass."""
    accumulation_steps: PositiveInt
    """Number of forward passes per optimizer step."""
    learning_rate: PositiveFloat
    """Peak learning rate, reached after the warm-up."""
    schedule: str
    """Schedule of the learning rate, by its name in transformers (SchedulerType)."""
    warmup: Annotated[float, Field(ge=0)]
    """Optimizer steps in which the learning rate rises from 0; below 1, a share of all steps."""
    optimizer: str
    """Optimizer, by its name in transformers (OptimizerNames)."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Weight decay of the optimizer."""
    max_grad_norm: PositiveFloat
    """Maximum 2-norm of the gradients; larger gradients are clipped to it."""
    precision: MixedPrecision
    """Number format of the computation; trained weights stay in 32 bits. fp16 scales the loss."""
    batching: Literal["length", "random", "packed"]
    """length: rows of similar length share a batch, which needs less padding. random: any rows.
    packed: several rows, isolated from each other, share a sequence of `max_length` tokens."""
    max_length: PositiveInt
    """Maximum number of tokens of a row, or of source and target each for an encoder-decoder; more
    are truncated on the right."""
    max_dropped_fraction: Fraction = 0.01
    """Maximum share of rows that lose their whole answer by truncation, and of pairs whose answers
    it makes equal; more is an error."""
    dropout: dict[str, Rate] = {}
    """Dropout probabilities during training, by key of the base's config.json, e.g.
    {attention_dropout: 0.1}; other keys keep the base's value."""
    activation_checkpointing: bool = False
    """Whether activations are computed again in the backward pass; training then needs less memory
    and is about a third slower."""
    log_steps: PositiveInt
    """Number of optimizer steps between two rows of log.csv."""
    evaluation_steps: NaturalInt | Literal["epoch"]
    """Number of optimizer steps between two evaluations, or epoch for one at the end of each epoch;
    0 evaluates only at the end."""
    evaluation_answers: NaturalInt = 0
    """Number of validation records, sampled evenly, that are answered at each evaluation; 0
    measures the loss only."""
    evaluation_tokens: PositiveInt = 64
    """Maximum number of tokens of those answers, and of the answers that grpo generates."""
    early_stopping: EarlyStoppingParams = EarlyStoppingParams()
    """Settings of early stopping."""
    options: Options = {}
    """Further options of the objective's configuration class in TRL or transformers."""
    sft: SftParams = SftParams()
    """Settings of the objective sft."""
    grpo: GrpoParams = GrpoParams()
    """Settings of the objective grpo."""

    @field_validator("adapter")
    @classmethod
    def _check_adapter(cls, options: Options, info: ValidationInfo) -> Options:
        """Check the options of the strategies that are not PEFT's; PEFT's need a slow import."""
        strategy = info.data.get("strategy")
        if strategy == "full" and options:
            raise ValueError(f"full has no option {next(iter(options))}; set train.adapter to {{}}")
        if strategy == "freeze":
            for name in options:
                if name not in FreezeOptions.model_fields:
                    raise ValueError(f"freeze has no option {name}; its only option is layers")
            FreezeOptions.model_validate(options)
        return options

    @model_validator(mode="after")
    def _check_combinations(self) -> "TrainParams":
        problems = list(_find_contradictions(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def has_head(self) -> bool:
        """Whether the objective trains a model with a head."""
        return self.objective in OBJECTIVES_WITH_HEAD

    @property
    def may_need_bitsandbytes(self) -> bool:
        """Whether the strategy or the optimizer needs bitsandbytes, as far as its name tells."""
        return self.strategy == "qlora" or not self.optimizer.startswith("adamw_torch")

    @property
    def evaluation_metrics(self) -> tuple[str, ...]:
        """Metrics that an evaluation measures: the columns of log.csv without `validation_`."""
        answers = ("exact_match", "rouge_l") if self.evaluation_answers else ()
        return ("loss", *EVALUATION_METRICS.get(self.objective, ()), *answers)


def _find_contradictions(params: TrainParams) -> Iterator[str]:
    """Yield a message for each pair of settings that cannot be combined."""
    sft, strategy = params.objective == "sft", params.strategy
    if params.batching == "packed" and not sft:
        yield "batching: packed is for sft; set it to length or random"
    if params.batching == "packed" and strategy in SOFT_PROMPTS:
        yield f"batching: packed rows have no start for the vectors of {strategy}; set it to length"
    if params.batching == "packed" and (params.sft.weighting != "fixed" or params.sft.task_weights):
        yield "sft: packed rows have no weights of their own; set batching to length"
    if params.sft.weighting != "fixed" or params.sft.task_weights:
        if strategy == "adalora":
            yield (
                "sft: adalora computes the loss in the model, without weights of tasks or rows; "
                "set strategy to lora"
            )
        if params.options.get("loss_type", "nll") != "nll":
            yield "sft: weights of tasks or rows need loss_type nll; leave one of them out"
    if params.sft.weighting in TRAINED_WEIGHTINGS and params.sft.task_weights:
        yield f"sft.task_weights: {params.sft.weighting} has no use for them; leave them out"
    if params.activation_checkpointing and strategy == "prefix":
        yield "activation_checkpointing: it drops the cache that holds the vectors of prefix"
    if strategy in SOFT_PROMPTS and params.objective in ("grpo", *OBJECTIVES_WITH_HEAD):
        yield f"strategy: {strategy} does not work with {params.objective}; set it to lora"
    if strategy == "trainable_tokens" and not sft:
        yield f"strategy: trainable_tokens works with sft only, not with {params.objective}"
    if params.has_head and params.evaluation_answers:
        yield (
            f"evaluation_answers: a model trained for {params.objective} generates no answers; "
            "set it to 0"
        )
    stopping, known = params.early_stopping, params.evaluation_metrics
    if stopping.patience and stopping.metric not in known:
        yield (
            f"early_stopping.metric: {stopping.metric} is not measured for {params.objective}; "
            f"known: {', '.join(known)}; evaluation_answers adds exact_match and rouge_l"
        )
    if stopping.patience and not params.evaluation_steps:
        yield "early_stopping: it counts evaluations; set evaluation_steps"
