"""Check before the first step that the trained adapter can be merged. Imports torch."""

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.lora.layer import ParamWrapper
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import ModulesToSaveWrapper

from lockstep.errors import UserError
from lockstep.training.adapters import WHERE


def check_mergeable(model: Any, adapter_config: Any) -> None:
    """Raise UserError if the stage `merge` could not merge the adapter that was added to a model.

    PEFT merges an adapter of tied embeddings into one of the two layers only (peft 0.21, also with
    `ensure_weight_tying`), and reports other limits when it merges. So one layer of each kind is
    copied, and the copy is merged.
    """
    for name, module in _iterate_tied_adapters(model):
        if isinstance(module, ModulesToSaveWrapper):
            if getattr(adapter_config, "ensure_weight_tying", False):
                continue
            remedy = "set ensure_weight_tying: true"
        else:
            remedy = "leave it out, or train some tokens by trainable_token_indices"
        raise UserError(
            f"params.yaml: {WHERE}: {name} shares its weights with another layer, so its adapter "
            f"cannot be merged; {remedy}"
        )
    for name, layer in _choose_layers(model).items():
        try:
            if (
                any(getattr(layer, "lora_bias", {}).values())
                and layer.get_base_layer().bias is None
            ):
                raise ValueError("lora_bias needs a layer with a bias")
            with warnings.catch_warnings():  # of rounding, if the base is in 4 bits
                warnings.simplefilter("ignore")
                copy.deepcopy(layer).merge(safe_merge=True)
        except (NotImplementedError, RuntimeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            reason = " ".join(str(error).split())
            raise UserError(
                f"params.yaml: {WHERE}: the adapter of {name} cannot be merged: {reason}"
            ) from None


def _iterate_tied_adapters(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and module of the adapters of tied embeddings that change the whole layer."""
    base = model.get_base_model()
    if not base.config.get_text_config().tie_word_embeddings:
        return
    embeddings = [base.get_input_embeddings(), base.get_output_embeddings()]
    for name, module in base.named_modules():
        if isinstance(module, TrainableTokensLayer):
            continue
        is_adapter = isinstance(module, BaseTunerLayer | ModulesToSaveWrapper)
        if is_adapter and any(module is embedding for embedding in embeddings):
            yield name, module


def _choose_layers(model: Any) -> dict[str, Any]:
    """Return one adapted layer of each kind by name; the layer with the fewest weights.

    Fused experts are left out, because they are large and PEFT can merge them. So is what
    DeepSpeed has divided among processes.
    """
    layers: dict[Any, tuple[str, Any]] = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, BaseTunerLayer) or isinstance(layer, ParamWrapper):
            continue
        module: Any = layer
        if any(hasattr(parameter, "ds_numel") for parameter in module.parameters()):
            continue
        base: Any = layer.get_base_layer()
        kind = type(layer), type(base), getattr(base, "bias", None) is None
        smallest = layers.get(kind)
        if smallest is None or _count(module) < _count(smallest[1]):
            layers[kind] = name, module
    return dict(layers.values())


def _count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
