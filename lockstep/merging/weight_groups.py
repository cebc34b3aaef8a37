"""Groups of weights that must be in memory together: those of a conversion or of an adapter."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Group:
    """Weights that are read, merged and written together."""

    sources: list[str] = field(default_factory=list)
    """Names of the tensors in the weight files."""
    read: list[str] = field(default_factory=list)
    """Names of the parameters and buffers that these tensors hold."""
    parameters: list[str] = field(default_factory=list)
    """Names of all parameters and buffers of the group."""
    layers: list[str] = field(default_factory=list)
    """Names of the adapted layers that hold the parameters."""


def find_adapted_layers(model: Any) -> dict[str, Any]:
    """Return the layers that PEFT has wrapped, by name, without those inside of another."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import AuxiliaryTrainingWrapper

    layers: dict[str, Any] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in layers)
        if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper) and not inside:
            layers[name] = module
    return layers


def group_weights(
    model: Any, sources: Mapping[str, Any], layers: Iterable[str]
) -> dict[str, Group]:
    """Return the group of each parameter or buffer of a model on the meta device.

    `sources` are the tensors of the weight files by name, on the meta device.
    """
    groups: dict[str, Group] = {}
    for names, parameters in _pair_names(model, sources):
        _join(groups, Group(list(names), list(parameters), list(parameters)))
    for layer in layers:
        inside = [name for name in model.state_dict() if name.startswith(f"{layer}.")]
        _join(groups, Group([], [], inside, [layer]))
    return groups


def _join(groups: dict[str, Group], new: Group) -> None:
    """Add a group and join it with all groups that share a parameter with it."""
    parts = {id(groups[name]): groups[name] for name in new.parameters if name in groups}
    joined = Group()
    for part in (*parts.values(), new):
        joined.sources += part.sources
        joined.read += part.read
        joined.parameters += [n for n in part.parameters if n not in joined.parameters]
        joined.layers += part.layers
    groups.update(dict.fromkeys(joined.parameters, joined))


def _pair_names(
    model: Any, sources: Mapping[str, Any]
) -> Iterable[tuple[Sequence[str], Collection[str]]]:
    """Yield names of tensors in the files, with the parameters that transformers makes of them.

    Tensors that the model does not use are left out.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        rename_source_key,
    )

    conversions = get_model_conversion_mapping(model)
    renamings = [entry for entry in conversions if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in conversions if isinstance(entry, WeightConverter)]
    state, prefix = model.state_dict(), model.base_model_prefix
    renamed: dict[str, list[str]] = {}
    converted: dict[str, list[str]] = {}
    for name in sources:
        target, pattern = rename_source_key(name, renamings, converters, prefix, state)
        if target not in state and name in state:
            target, pattern = rename_source_key(name, [], [], prefix, state)
        if target in state:
            (renamed if pattern is None else converted).setdefault(target, []).append(name)
    for target, names in renamed.items():
        yield names, [target]
    for names in converted.values():
        tensors = {name: sources[name] for name in names}
        yield names, convert_tensors(model, tensors, "meta")


def convert_tensors(model: Any, tensors: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return the parameters and buffers that transformers makes of some tensors of the files.

    `tensors` may be slices of open files. The model is on the meta device, and stays there.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import convert_and_load_state_dict_in_model
    from transformers.modeling_utils import LoadStateDictConfig

    before = _get_tensors(model)
    conversions: Any = get_model_conversion_mapping(model)
    used = model._weight_conversions
    config = LoadStateDictConfig(device_map={"": device}, weight_mapping=conversions)
    convert_and_load_state_dict_in_model(model, dict(tensors), config, None)
    model._weight_conversions = used
    after = _get_tensors(model)
    converted = {name: after[name] for name in after if after[name] is not before[name]}
    for name in converted:
        setattr(*find_owner(model, name), before[name])
    return {name: tensor.detach() for name, tensor in converted.items()}


def _get_tensors(model: Any) -> dict[str, Any]:
    """Return all parameters and buffers by all of their names."""
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def find_owner(model: Any, name: str) -> tuple[Any, str]:
    """Return the module that holds a parameter or buffer, and the name in it."""
    path, _, attribute = name.rpartition(".")
    return model.get_submodule(path), attribute
