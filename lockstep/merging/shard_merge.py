"""Merge an adapter into a base one shard after the other, without loading the whole model.

Memory holds one shard of the result and the layer that is merged. PEFT merges each layer, and
transformers reads, renames, fuses and divides the tensors, so the files are those of a whole model
that PEFT merges and transformers saves.
"""

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError, report_load_errors
from lockstep.merging import base_weights, skeleton, weight_groups
from lockstep.merging.layer_differences import LayerDifferences, build_inputs
from lockstep.merging.weight_groups import Group
from lockstep.models import saving, weight_check

ADAPTER = "default"
"""Name that PEFT gives to an adapter."""


class NotShardableError(Exception):
    """The whole model is needed in memory; the message says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """Weights that are merged with an adapter, or only cast, and written."""

    folder: Path
    """Folder of the base, or of a model that was trained whole."""
    model: Any
    """The model on the meta device, in the precision of the result."""
    adapter: Path | None = None
    differences: LayerDifferences | None = None
    """Compares the outputs of each layer before and after, if it is given."""


def write_shards(source: Source, out: Path, max_shard_gb: float) -> None:
    """Write merged weights, their index and config.json into the folder `out`.

    Raise NotShardableError, before anything is written, if the whole model is needed. Raise
    UserError if the adapter is of another base, a tensor is damaged or the disk is too small.
    """
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    merger = _Merger(source)
    plan = merger.plan_tensors()
    weight_check.check_space(out, sum(tensor.nbytes for tensor in plan.values()))
    shards = split_torch_state_dict_into_shards(plan, max_shard_size=f"{max_shard_gb}GB")
    pending: dict[str, Any] = {}
    for file, names in shards.filename_to_tensors.items():
        for name in names:
            if name not in pending:
                pending |= merger.merge_group(name)
                _return_free_memory()
        tensors = {name: pending.pop(name) for name in names}
        save_file(tensors, out / file, metadata={"format": "pt"})
        del tensors
    if shards.is_sharded:
        metadata = {"total_parameters": source.model.num_parameters(), **shards.metadata}
        index = {"metadata": metadata, "weight_map": shards.tensor_to_filename}
        outputs.write_json(out / "model.safetensors.index.json", index)
    _write_configuration(source.model, out)


def _return_free_memory() -> None:
    """Let glibc return freed blocks to the system; the command line lets it keep them."""
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)


def _write_configuration(model: Any, out: Path) -> None:
    """Write config.json as transformers' `save_pretrained` does."""
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(out)
    saving.normalize_files(out)


class _Merger:
    """Reads, merges and casts the weights of a model group by group."""

    def __init__(self, source: Source) -> None:
        self.source, self.model = source, source.model
        self.state = self.model.state_dict()
        self.files = base_weights.list_files(source.folder)
        filled, self.layers = self.model, {}
        if source.adapter:
            filled = skeleton.fill_with_placeholders(self.model)
        self.owners = {name: weight_groups.find_owner(filled, name) for name in self.state}
        self.placeholders = {name: getattr(*owner) for name, owner in self.owners.items()}
        if source.adapter:
            adapters = {ADAPTER: source.adapter}
            adapted = skeleton.attach_adapters(filled, adapters, source.folder)
            if adapted.active_peft_config.is_prompt_learning:
                raise NotShardableError("a soft prompt is computed by the whole model")
            self.layers = weight_groups.find_adapted_layers(filled)
        with report_load_errors(f"{source.folder}: the model"):
            headers = base_weights.read_headers(self.files)
            self.groups = weight_groups.group_weights(self.model, headers, self.layers)
        self.group_by_tensor: dict[str, Group] = {}

    def plan_tensors(self) -> dict[str, Any]:
        """Return all tensors of the result by name, in order, on the meta device.

        Raise NotShardableError if one of them cannot be computed group by group.
        """
        from transformers.core_model_loading import revert_weight_conversion
        from transformers.modeling_utils import remove_tied_weights_from_state_dict

        ignored = set(self.model._keys_to_ignore_on_save or ())
        state = {name: tensor for name, tensor in self.state.items() if name not in ignored}
        self.state = remove_tied_weights_from_state_dict(state, self.model)
        for name in self.state:
            self._check_parameter(name)
        for name in self.layers:
            self._check_layer(name)
        for group in {id(group): group for group in self.groups.values()}.values():
            meta = {name: self.state[name] for name in group.parameters if name in self.state}
            names = revert_weight_conversion(self.model, meta)
            self.group_by_tensor |= dict.fromkeys(names, group)
        plan: dict[str, Any] = revert_weight_conversion(self.model, self.state)
        if plan.keys() != self.group_by_tensor.keys():
            raise NotShardableError("transformers converts tensors of several layers together")
        return plan

    def merge_group(self, name: str) -> dict[str, Any]:
        """Return the merged tensors of the group that a tensor of the result belongs to."""
        import torch
        from transformers.core_model_loading import revert_weight_conversion

        group = self.group_by_tensor[name]
        with report_load_errors(f"{self.source.folder}: the model"), torch.no_grad():
            weights = self._read(group)
        with torch.no_grad():
            merged = self._merge(group, weights)
            cast = {name: value.to(self.state[name].dtype) for name, value in merged.items()}
        tensors: dict[str, Any] = revert_weight_conversion(self.model, cast)
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    def _read(self, group: Group) -> dict[str, Any]:
        """Return the parameters that the files hold; raise UserError if one holds NaN."""
        weights = base_weights.read_parameters(self.model, self.files, group.sources)
        for name, tensor in weights.items():
            weight_check.check_finite(tensor, f"{self.source.folder}: {name}")
        return weights

    def _merge(self, group: Group, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a group after merging its layers in 32 bits.

        An adapter may bring parameters of its own, such as biases, which replace those of the base.
        """
        import torch

        saved = [name for name in group.parameters if name in self.state]
        for name in weights if group.layers else ():
            if getattr(*self.owners[name]) is self.placeholders[name]:
                tensor = weights[name]
                tensor = tensor.float() if tensor.is_floating_point() else tensor
                setattr(*self.owners[name], torch.nn.Parameter(tensor, requires_grad=False))
        merged = {name: self._merge_layer(name, self.layers[name]) for name in group.layers}
        values = {}
        for name in saved:
            layer = next((layer for layer in merged if name.startswith(f"{layer}.")), None)
            module, attribute = (
                weight_groups.find_owner(merged[layer], name.removeprefix(f"{layer}."))
                if layer
                else self.owners[name]
            )
            value = getattr(module, attribute)
            values[name] = weights[name] if value is self.placeholders[name] else value.detach()
        for name in weights:
            setattr(*self.owners[name], self.placeholders[name])
        return values

    def _merge_layer(self, name: str, layer: Any) -> Any:
        """Merge an adapted layer, as PEFT does for a whole model, and return the base's layer."""
        import torch

        inputs = expected = None
        if self.source.differences and hasattr(layer, "base_layer"):
            inputs = build_inputs(layer.get_base_layer())
        if inputs is not None:
            with torch.inference_mode():
                expected = layer(inputs)
        try:
            if hasattr(layer, "unload_and_optionally_merge_module"):
                merged = layer.unload_and_optionally_merge_module(True, True, None)
            else:
                layer.merge(safe_merge=True)
                merged = layer.get_base_layer()
        except (NotImplementedError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{self.source.adapter}: the adapter of {name} cannot be merged: {reason}"
            ) from None
        if inputs is not None and self.source.differences:
            self.source.differences.add(expected, merged, inputs, self.model.dtype)
        return merged

    def _check_parameter(self, name: str) -> None:
        """Raise NotShardableError if neither the files nor the adapter hold a parameter."""
        from peft.utils import ModulesToSaveWrapper

        group = self.groups.get(name)
        layers = [self.layers[layer] for layer in group.layers] if group else []
        is_in_adapter = any(isinstance(layer, ModulesToSaveWrapper) for layer in layers)
        if group is None or (name not in group.read and not is_in_adapter):
            raise NotShardableError(f"no file holds {name}")

    def _check_layer(self, name: str) -> None:
        """Raise NotShardableError if a layer shares its weights with one that is written."""
        if any(parameter.startswith(f"{name}.") for parameter in self.state):
            return
        tokens = getattr(self.layers[name], "token_adapter", None)
        if not (tokens is not None and tokens.tied_adapter):
            raise NotShardableError(f"{name} shares its weights with another layer")
