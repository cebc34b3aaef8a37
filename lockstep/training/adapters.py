"""Which parameters are tuned: all, the last layers, or those that PEFT adds."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.models import model_io
from lockstep.training import library_options
from lockstep.training.train_params import Freeze, Strategies, Strategy, Train

OWNED = {
    "task_type": "the objective decides it; leave it out",
    "peft_type": "the strategy decides it; leave it out",
    "inference_mode": "training sets it; leave it out",
    "base_model_name_or_path": "data/base is tuned; leave it out",
    "revision": "data/base is tuned; leave it out",
    "auto_mapping": "the objective decides it; leave it out",
    "tokenizer_name_or_path": "data/base is tuned; leave it out",
}
OURS = {"lora": ("loraplus_lr_ratio",), "qlora": ("loraplus_lr_ratio", "double_quantization")}
"""Options of a strategy that are not of PEFT's class."""

CONVERTED = ("pissa", "olora", "corda", "loftq")
"""LoRA's starts (init_lora_weights) that change the base's weights as well."""


def configuration(train: Train, strategies: Strategies, base: Path) -> Any:
    """PEFT's configuration of the strategy, None for full and freeze; UserError on any mistake.

    No model is loaded.
    """
    if train.strategy in ("full", "freeze"):
        return None
    given = dict(getattr(strategies, train.strategy))
    where = f"strategies.{train.strategy}"
    for name in OURS.get(train.strategy, ()):
        given.pop(name, None)
    _check_start(given, where, train.strategy)
    ours: dict[str, Any] = {"task_type": "SEQ_CLS" if train.has_head else "CAUSAL_LM"}
    if train.strategy == "adalora":
        ours["total_step"] = 2**31  # `prepare` knows the steps
    if train.strategy == "prompt" and given.get("prompt_tuning_init") == "TEXT":
        ours["tokenizer_name_or_path"] = str(base)
    return library_options.build(_class_of(train.strategy), given, ours, where, OWNED)


def learning_rate_ratio(train: Train, strategies: Strategies) -> float | None:
    """LoRA+: how many times faster B learns than A (Hayou, Ghosh and Yu, 2024); None: as fast."""
    if train.strategy not in ("lora", "qlora"):
        return None
    where = f"params.yaml: strategies.{train.strategy}.loraplus_lr_ratio"
    ratio = getattr(strategies, train.strategy).get("loraplus_lr_ratio")
    if ratio is None:
        return None
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or ratio < 1:
        raise UserError(f"{where}: must be a number from 1 on, 16 as in the paper, not {ratio!r}")
    if "adamw" not in train.optimizer:
        raise UserError(f"{where}: goes with an AdamW, not {train.optimizer}")
    return float(ratio)


def double_quantization(strategies: Strategies) -> bool:
    """qlora: whether the scales of the 4-bit weights are quantized as well."""
    value = strategies.qlora.get("double_quantization", True)
    if not isinstance(value, bool):
        raise UserError(
            f"params.yaml: strategies.qlora.double_quantization: true or false, not {value!r}"
        )
    return value


def prepare(model: Any, train: Train, strategies: Strategies, adapter: Any, steps: int) -> None:
    """What the strategy asks of the loaded model, before the trainer adds the adapter.

    `steps` are the optimizer steps of the run: AdaLoRA spreads its cuts over them.
    """
    if train.strategy == "freeze":
        freeze(model, strategies.freeze)
    if train.strategy == "adalora":
        if adapter.tinit + adapter.tfinal >= steps:
            raise UserError(
                f"params.yaml: strategies.adalora: tinit + tfinal must be below the run's {steps} "
                f"steps, not {adapter.tinit + adapter.tfinal}"
            )
        adapter.total_step = steps
    if adapter is not None:
        check_targets(adapter, model, f"strategies.{train.strategy}")


def trained_parameters(model: Any) -> int:
    """How many numbers training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def check_targets(config: Any, model: Any, where: str) -> None:
    """Refuse a target that no layer has: PEFT asks for one of several names only."""
    targets = getattr(config, "target_modules", None)
    if not isinstance(targets, list | set):
        return
    import torch

    layers = [
        n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear | torch.nn.Embedding)
    ]
    known = sorted({name.rpartition(".")[2] for name in layers})
    for target in sorted(targets):
        if not any(f".{name}".endswith(f".{target}") for name in layers):
            near = difflib.get_close_matches(target, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise UserError(
                f"params.yaml: {where}.target_modules: the base has no layer {target}; {hint}"
            )


def freeze(model: Any, chosen: Freeze) -> None:
    """Leave only the last layers, the head and what stands between them to be tuned.

    A head that shares its matrix with the embeddings takes them along.
    """
    layers = model_io.find_blocks(model)
    if chosen.layers > len(layers):
        raise UserError(
            f"params.yaml: strategies.freeze.layers: the base has {len(layers)} layers, not "
            f"{chosen.layers}; take fewer, or strategy full"
        )
    model.requires_grad_(False)
    for part in [*layers[len(layers) - chosen.layers :], *_after(model, layers)]:
        part.requires_grad_(True)


def changes_base(config: Any) -> bool:
    """Whether the adapter starts from parts of the base's weights, which it takes out of them."""
    start = getattr(config, "init_lora_weights", True)
    return isinstance(start, str) and start.lower().startswith(CONVERTED)


def save_start(model: Any, folder: Path) -> None:
    """Write the adapter as it starts, as PEFT wants it to convert the trained one."""
    start = model.peft_config["default"]
    kind, start.init_lora_weights = start.init_lora_weights, True
    model.save_pretrained(folder)
    start.init_lora_weights = kind


def _class_of(strategy: Strategy) -> Any:
    """PEFT's configuration class.

    adapter: PEFT has no bottleneck adapter of its own (Houlsby et al., 2019); PEANuT's bottleneck
    with a non-linearity is the nearest that it can merge.
    """
    import peft

    return {
        "lora": peft.LoraConfig,
        "qlora": peft.LoraConfig,
        "adalora": peft.AdaLoraConfig,
        "ia3": peft.IA3Config,
        "adapter": peft.PeanutConfig,
        "prompt": peft.PromptTuningConfig,
        "p_tuning": peft.PromptEncoderConfig,
        "prefix": peft.PrefixTuningConfig,
        "trainable_tokens": peft.TrainableTokensConfig,
    }[strategy]


def _check_start(given: dict[str, Any], where: str, strategy: Strategy) -> None:
    start = str(given.get("init_lora_weights", "")).lower()
    if start.startswith(("corda", "loftq", "eva")):
        raise UserError(f"params.yaml: {where}.init_lora_weights: {start} needs data of its own")
    if strategy == "qlora" and start.startswith(("pissa", "olora")):
        raise UserError(
            f"params.yaml: {where}.init_lora_weights: {start} changes the base's weights, "
            "which are in 4 bits here; take strategy lora"
        )


def _after(model: Any, layers: Any) -> Iterator[Any]:
    """The modules that follow the blocks: the last norm or pooler, and the head."""
    inside = {id(module) for module in layers.modules()}
    embeddings = {id(module) for module in _embeddings(model)}
    for module in model.modules():
        leaf = not list(module.children())
        if leaf and id(module) not in inside | embeddings:
            yield module


def _embeddings(model: Any) -> Iterator[Any]:
    """Everything below what holds the input embeddings alone."""
    table = model.get_input_embeddings()
    for module in model.modules():
        held = list(module.modules())
        if table in held and not any(
            part is one for one in model_io.find_blocks(model) for part in held
        ):
            yield from held
