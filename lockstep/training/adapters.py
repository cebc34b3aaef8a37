"""Strategies: which parameters are trained, and PEFT's configuration of the adapter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.models import loading, quantization
from lockstep.training import library_options, target_modules
from lockstep.training.train_params import FreezeOptions, Options, Strategy, TrainParams

WHERE = "train.adapter"
"""Path in params.yaml of the options, for messages."""

RESERVED = {
    "task_type": "the objective sets it; leave it out",
    "peft_type": "the strategy sets it; leave it out",
    "inference_mode": "training sets it; leave it out",
    "base_model_name_or_path": "the base is always data/base; leave it out",
    "revision": "the base is always data/base; leave it out",
    "auto_mapping": "the objective sets it; leave it out",
    "tokenizer_name_or_path": "the base is always data/base; leave it out",
}
"""Options of PEFT that users cannot set, and why."""

EXTRA_OPTIONS: dict[str, tuple[str, ...]] = {
    "lora": ("loraplus_lr_ratio",),
    "qlora": ("loraplus_lr_ratio", "double_quantization"),
}
"""Options of a strategy beside those of its PEFT class."""

BASE_CHANGING_INITIALIZATIONS = ("pissa", "olora", "corda", "loftq")
"""Values of `init_lora_weights` that move a part of the base's weights into the adapter."""

DATA_INITIALIZATIONS = ("corda", "loftq", "eva")
"""Values of `init_lora_weights` that need data of their own, which the pipeline does not pass."""


def build_adapter_config(params: TrainParams, base: Path, is_seq2seq: bool = False) -> Any:
    """Return PEFT's configuration of the strategy; None for full and freeze.

    `is_seq2seq` says whether the base generates as an encoder-decoder. No model is loaded. Raise
    UserError with every wrong option.
    """
    if params.strategy in ("full", "freeze"):
        return None
    extra = EXTRA_OPTIONS.get(params.strategy, ())
    options = {name: value for name, value in params.adapter.items() if name not in extra}
    _check_initialization(options, params.strategy)
    generative_type = "SEQ_2_SEQ_LM" if is_seq2seq else "CAUSAL_LM"
    fixed: dict[str, Any] = {"task_type": "SEQ_CLS" if params.has_head else generative_type}
    if params.strategy == "adalora":
        fixed["total_step"] = 2**31  # `prepare_model` sets it to the steps of the run
    if params.strategy == "prompt" and options.get("prompt_tuning_init") == "TEXT":
        fixed["tokenizer_name_or_path"] = str(base)
    cls = _get_config_class(params.strategy)
    return library_options.build_config(cls, options, fixed, RESERVED, WHERE, params.strategy)


def read_lora_plus_ratio(params: TrainParams) -> float | None:
    """Return LoRA+'s ratio of the learning rates of B and A (Hayou, Ghosh and Yu, 2024).

    None means that the strategy has no LoRA+ or the option is not set.
    """
    name = "loraplus_lr_ratio"
    ratio = params.adapter.get(name)
    if ratio is None or name not in EXTRA_OPTIONS.get(params.strategy, ()):
        return None
    where = f"params.yaml: {WHERE}.{name}"
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or ratio < 1:
        raise UserError(f"{where}: must be a number from 1 on (16 in the paper), not {ratio!r}")
    if "adamw" not in params.optimizer:
        raise UserError(f"{where}: needs an AdamW optimizer, not {params.optimizer}")
    return float(ratio)


def read_double_quantization(params: TrainParams) -> bool:
    """Whether qlora also quantizes the scales of the 4-bit weights."""
    value = params.adapter.get("double_quantization", True)
    if params.strategy == "qlora" and not isinstance(value, bool):
        raise UserError(
            f"params.yaml: {WHERE}.double_quantization: must be true or false, not {value!r}"
        )
    return bool(value)


def build_quantization_config(params: TrainParams) -> Any:
    """Return the configuration with which qlora loads the base; None for other strategies."""
    if params.strategy != "qlora":
        return None
    return quantization.build_config("nf4", read_double_quantization(params), params.precision)


def prepare_model(model: Any, params: TrainParams, adapter_config: Any, steps: int) -> None:
    """Freeze layers or complete the adapter's configuration, before the trainer adds the adapter.

    `steps` is the number of optimizer steps of the run, over which AdaLoRA spreads its budget.
    Raise UserError if an option does not suit the model.
    """
    if params.strategy == "freeze":
        freeze_layers(model, FreezeOptions.model_validate(params.adapter).layers)
    if params.strategy == "adalora":
        phases = adapter_config.tinit + adapter_config.tfinal
        if phases >= steps:
            raise UserError(
                f"params.yaml: {WHERE}: adalora: tinit + tfinal must be below the run's {steps} "
                f"steps, not {phases}"
            )
        adapter_config.total_step = steps
    if adapter_config is not None:
        target_modules.choose_target_modules(adapter_config, model)
        target_modules.check_target_parameters(adapter_config, model)
    elif params.strategy == "full":
        for name in loading.find_media_parts(model):
            model.get_submodule(name).requires_grad_(False)  # text trains nothing in them


def freeze_layers(model: Any, trained_layers: int) -> None:
    """Train only the last transformer blocks and what follows them: norm or pooler, and head.

    The vision and audio parts of a multi-modal model keep their weights. The blocks of an
    encoder-decoder are those of its decoder.

    If the head shares its matrix with the input embeddings, these are trained as well.
    """
    blocks = loading.find_blocks(model)
    if trained_layers > len(blocks):
        raise UserError(
            f"params.yaml: {WHERE}: freeze: the base has {len(blocks)} layers, so layers cannot be "
            f"{trained_layers}; lower it, or set train.strategy to full"
        )
    model.requires_grad_(False)
    for module in [*blocks[len(blocks) - trained_layers :], *_iterate_modules_after(model, blocks)]:
        module.requires_grad_(True)


def count_trained_parameters(model: Any) -> int:
    """Return the number of parameters that training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_parameters(model: Any) -> int:
    """Return the number of parameters; transformers counts two fused experts in 4 bits as one."""
    packed = sum(
        module.quant_state.shape.numel() // 2
        for module in model.modules()
        if type(module).__name__ == "Bnb4bitParametrization"
    )
    return int(model.num_parameters()) + packed


def changes_base_weights(adapter_config: Any) -> bool:
    """Whether the adapter moves a part of the base's weights into itself (PiSSA, OLoRA)."""
    initialization = getattr(adapter_config, "init_lora_weights", True)
    return isinstance(initialization, str) and initialization.lower().startswith(
        BASE_CHANGING_INITIALIZATIONS
    )


def save_initial_adapter(model: Any, folder: Path) -> None:
    """Write the untrained adapter, which PEFT needs to convert the trained one to the base."""
    config = model.peft_config["default"]
    initialization, config.init_lora_weights = config.init_lora_weights, True
    model.save_pretrained(folder)
    config.init_lora_weights = initialization


def _get_config_class(strategy: Strategy) -> Any:
    """Return PEFT's configuration class.

    PEFT has no bottleneck adapter as in Houlsby et al. (2019). PEANuT is the closest adapter that
    PEFT can merge: a bottleneck with a non-linearity.
    """
    import peft

    return {
        "lora": peft.LoraConfig,
        "qlora": peft.LoraConfig,
        "adalora": peft.AdaLoraConfig,
        "ia3": peft.IA3Config,
        "bottleneck": peft.PeanutConfig,
        "prompt": peft.PromptTuningConfig,
        "p_tuning": peft.PromptEncoderConfig,
        "prefix": peft.PrefixTuningConfig,
        "trainable_tokens": peft.TrainableTokensConfig,
    }[strategy]


def _check_initialization(options: Options, strategy: Strategy) -> None:
    """Raise UserError if the adapter cannot be initialized as `init_lora_weights` says."""
    initialization = str(options.get("init_lora_weights", "")).lower()
    where = f"params.yaml: {WHERE}.init_lora_weights"
    if initialization.startswith(DATA_INITIALIZATIONS):
        raise UserError(
            f"{where}: {initialization} needs data of its own, which cannot be passed here"
        )
    if strategy == "qlora" and initialization.startswith(BASE_CHANGING_INITIALIZATIONS):
        raise UserError(
            f"{where}: {initialization} changes the base's weights, which qlora keeps in 4 bits; "
            "set train.strategy to lora"
        )


def _iterate_modules_after(model: Any, blocks: Any) -> Iterator[Any]:
    """Yield the modules without children outside of the blocks and the input embeddings.

    An encoder comes before the blocks of its decoder, and so do the decoder's embeddings.
    """
    media = [model.get_submodule(name) for name in loading.find_media_parts(model)]
    parts = [*(module for part in media for module in part.modules()), *blocks.modules()]
    excluded = {id(module) for module in [*parts, *_iterate_embedding_modules(model)]}
    if model.config.is_encoder_decoder:
        excluded |= {id(module) for module in model.get_encoder().modules()}
        decoder = model.get_decoder().named_children()
        excluded |= {id(module) for name, module in decoder if "embed" in name}
    for module in model.modules():
        if not list(module.children()) and id(module) not in excluded:
            yield module


def _iterate_embedding_modules(model: Any) -> Iterator[Any]:
    """Yield all modules of each part that holds the input embeddings but no transformer block."""
    embeddings = model.get_input_embeddings()
    blocks = {id(block) for block in loading.find_blocks(model)}
    for module in model.modules():
        parts = list(module.modules())
        if any(part is embeddings for part in parts) and not any(id(p) in blocks for p in parts):
            yield from parts
