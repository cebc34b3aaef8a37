"""Choose the layers of the base that receive an adapter and the layers that are trained whole."""

import difflib
import re
from collections.abc import Iterator
from typing import Any

from lockstep.errors import UserError
from lockstep.models import loading

WHERE = "train.adapter.target_modules"
"""Path in params.yaml of the option, for messages."""

SAVED_HEADS = ("classifier", "score")
"""Endings of the names of a classifier's layers that PEFT itself trains and saves whole."""


def choose_target_modules(config: Any, model: Any) -> None:
    """Complete PEFT's configuration for the model: its layers, exclusions and new parameters.

    The default is all linear layers, since PEFT's own defaults cover some families only; (IA)³
    keeps PEFT's default where there is one. The vision and audio parts of a multi-modal model
    are left out, and so are the layers that are trained whole: the head and other parameters
    that the base's files lack. Raise UserError if a target is not a layer of the model.
    """
    if not hasattr(config, "target_modules") or not hasattr(config, "exclude_modules"):
        return  # vectors before the input or rows of the embeddings
    _check_names(config, model)
    if config.target_modules is None and not _has_default(config, model):
        config.target_modules = "all-linear"
        if hasattr(config, "feedforward_modules") and config.feedforward_modules is None:
            config.feedforward_modules = []  # every vector scales the output of its layer
    new_modules = _list_new_modules(model)
    if new_modules:
        config.modules_to_save = [*(config.modules_to_save or []), *new_modules]
    excluded = [*loading.find_media_parts(model), *new_modules, *_list_saved_heads(config, model)]
    if excluded or config.exclude_modules:
        config.exclude_modules = _exclude(excluded, config.exclude_modules)
    _check_targets(config, model)


def _has_default(config: Any, model: Any) -> bool:
    """Whether PEFT knows which layers (IA)³ scales, and which of them are feed-forward layers."""
    from peft.utils import constants

    families = constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
    return config.peft_type == "IA3" and model.config.model_type in families


def _list_new_modules(model: Any) -> list[str]:
    """Return the layers with parameters that the base's files lack and that PEFT does not know."""
    names = {name.rpartition(".")[0] for name in getattr(model, "new_parameters", ())}
    return sorted(name for name in names if not name.split(".")[0].endswith(SAVED_HEADS))


def _list_saved_heads(config: Any, model: Any) -> list[str]:
    """Return the layers that PEFT saves whole: all-linear would otherwise give them adapters."""
    if config.task_type != "SEQ_CLS":
        return []
    return [name for name, _ in model.named_children() if name.endswith(SAVED_HEADS)]


def _exclude(parts: list[str], excluded: Any) -> str:
    """Return a pattern for parts of the model with all layers in them, and for `excluded`."""
    patterns = [f"({'|'.join(re.escape(part) for part in sorted(parts))})(\\..*)?"] if parts else []
    if isinstance(excluded, str):
        patterns.append(excluded)
    elif excluded:
        names = "|".join(re.escape(name) for name in sorted(excluded))
        patterns.append(rf"(.*\.)?({names})")
    return "|".join(patterns)


def _check_names(config: Any, model: Any) -> None:
    """Raise UserError if an option names a layer that the model lacks, which PEFT passes over."""
    names = [name for name, _ in model.named_modules()]
    for option in ("modules_to_save", "exclude_modules", "feedforward_modules"):
        value = getattr(config, option, None)
        for target in sorted(value) if isinstance(value, list | set) else ():
            if not any(f".{name}".endswith(f".{target}") for name in names):
                raise UserError(
                    f"params.yaml: train.adapter.{option}: the base has no layer {target}; correct "
                    "or remove it"
                )


def _check_targets(config: Any, model: Any) -> None:
    """Raise UserError if a target is not a layer of the model, or not one that PEFT can adapt.

    PEFT itself accepts a list as soon as one of its names is known.
    """
    from transformers.pytorch_utils import Conv1D

    layers = dict(_iterate_layers(config, model))
    targets = config.target_modules
    if isinstance(targets, list | set):
        known = sorted({name.rpartition(".")[2] for name in layers})
        for target in sorted(targets):
            if not any(f".{name}".endswith(f".{target}") for name in layers):
                near = difflib.get_close_matches(target, known, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise UserError(
                    f"params.yaml: {WHERE}: the base has no layer {target}; {hint}known: "
                    f"{', '.join(known)}; all-linear names all linear ones"
                )
    if config.peft_type == "PEANUT" and any(isinstance(layer, Conv1D) for layer in layers.values()):
        raise UserError(
            "params.yaml: train.strategy: bottleneck cannot adapt the Conv1D layers of "
            f"{model.config.model_type}; set it to lora"
        )


def _iterate_layers(config: Any, model: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and layer of all layers that can have an adapter."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    for name, module in model.named_modules():
        is_excluded = config.exclude_modules and re.fullmatch(config.exclude_modules, name)
        if isinstance(module, nn.Linear | nn.Embedding | Conv1D) and not is_excluded:
            yield name, module


def check_target_parameters(config: Any, model: Any) -> None:
    """Raise UserError if a target parameter is none of the model, which PEFT would pass over.

    Those of experts in 4 bits have other names, and PEFT cannot adapt them.
    """
    where = "train.adapter.target_parameters"
    names = [name for name, _ in model.named_parameters()]
    for target in sorted(getattr(config, "target_parameters", None) or ()):
        if any(f".{name}".endswith(f".{target}") for name in names):
            continue
        last = target.rpartition(".")[2]
        if any(f".parametrizations.{last}." in name for name in names):
            reason = f"PEFT cannot adapt {target} in 4 bits; leave it out, or set train.strategy to"
            raise UserError(f"params.yaml: {where}: {reason} lora")
        raise UserError(
            f"params.yaml: {where}: the base has no parameter {target}; name one "
            "as mlp.experts.down_proj"
        )


def forget_unadapted_parameters(model: Any) -> None:
    """Remove target parameters without an adapter from the configuration that is saved.

    For a mixture PEFT turns `all-linear` into target parameters, and passes over experts in 4
    bits. When it loads the adapter for the original base, it would find no weights for them.
    """
    from peft.tuners.lora.layer import ParamWrapper

    config = model.peft_config["default"]
    adapted = [
        f".{name.replace('.base_layer', '')}.{module.parameter_name}"
        for name, module in model.named_modules()
        if isinstance(module, ParamWrapper)
    ]
    config.target_parameters = {
        target
        for target in config.target_parameters
        if any(name.endswith(f".{target}") for name in adapted)
    }
