"""Check the weight files of a base by their headers: complete, in agreement with config.json."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.hub.config_keys import read_object
from lockstep.hub.local_folder import CONFIG, INDEX
from lockstep.models import loading

_CONSTANT_BUFFER = re.compile(r"(^|\.)(position_ids|inv_freq)$")
"""Names of tensors that old checkpoints hold and models now compute."""


def read_tensors(folder: Path) -> dict[str, Any]:
    """Return all tensors of the weight files, as empty ones of the same shape on the meta device.

    Raise UserError if a file is damaged or the index of shards does not agree with the shards.
    """
    headers = _read_headers(folder)
    _check_index(folder, headers)
    return {name: tensor for shard in headers.values() for name, tensor in shard.items()}


def check_tensors(model: Any, tensors: dict[str, Any], folder: Path) -> list[str]:
    """Compare the tensors with a model on the meta device, and return notes for the user.

    The empty tensors are loaded as transformers loads real ones: renamed, fused and tied. Raise
    UserError if a tensor is missing or has a wrong shape, or if the files hold more layers than
    the model: transformers would fill or ignore them and continue. The head of a classifier and
    its pooler may be missing.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import convert_and_load_state_dict_in_model
    from transformers.modeling_utils import LoadStateDictConfig

    conversion: Any = get_model_conversion_mapping(model)
    config = LoadStateDictConfig(device_map={"": "meta"}, weight_mapping=conversion)
    report, _ = convert_and_load_state_dict_in_model(model, tensors, config, None)
    model.tie_weights(missing_keys=report.missing_keys, recompute_mapping=False)
    unused = sorted(report.unexpected_keys)
    model._adjust_missing_and_unexpected_keys(report)
    has_head = type(model).__name__.endswith("ForSequenceClassification")
    head = {n for n in model.state_dict() if has_head and loading.belongs_to_head(n, model)}
    if missing := sorted(report.missing_keys - head):
        raise UserError(
            f"{folder}: the weights lack {list_tensors(missing)} "
            f"of {model.config.model_type}; fetch them again or use another base"
        )
    mismatches = [
        f"{name} {list(shape)}, not {list(expected)}"
        for name, shape, expected in sorted(report.mismatched_keys)
        if name not in head
    ]
    if mismatches:
        raise UserError(
            f"{folder}: wrong shapes: {list_tensors(mismatches)}; "
            f"{CONFIG} does not belong to these weights"
        )
    if layers := loading.find_surplus_layers(report.unexpected_keys, model):
        raise UserError(
            f"{folder}: {CONFIG} has fewer layers than the weights, which also hold "
            f"{list_tensors(layers)}; correct it or fetch it again"
        )
    notes = []
    ignored = set(unused) - report.unexpected_keys
    unused = [
        name
        for name in unused
        if not _CONSTANT_BUFFER.search(name)
        and not (name in ignored and name.endswith((".attn.bias", ".attn.masked_bias")))  # GPT-2
    ]
    if unused:
        notes.append(
            f"{type(model).__name__} does not use {len(unused)} of the tensors "
            f"({_list_parts(unused, model)}); trained and merged models leave them out"
        )
    if any(loading.is_pooler(name) for name in report.missing_keys):
        notes.append("the weights have no pooler, so training starts with a random one")
    return notes


def list_tensors(names: Sequence[str]) -> str:
    """Return the number of tensors and the names of the first three."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} tensors ({', '.join(names[:3])}{more})"


def _list_parts(names: Iterable[str], model: Any) -> str:
    """Return the parts of the model that the tensors belong to, with their number in each."""
    parts = Counter(
        ".".join(name.split(".")[: 2 if name.startswith(f"{model.base_model_prefix}.") else 1])
        for name in names
    )
    return ", ".join(f"{part}: {number}" for part, number in parts.items())


def _read_headers(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the tensors of each file, as empty tensors of the same shape on the meta device."""
    import torch
    from safetensors import SafetensorError, safe_open

    headers: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                headers[path.name] = {
                    name: torch.empty(file.get_slice(name).get_shape(), device="meta")
                    for name in file.keys()  # noqa: SIM118
                }
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path}: not a complete safetensors file ({error}); fetch it again"
            ) from None
    return headers


def _check_index(folder: Path, headers: dict[str, dict[str, Any]]) -> None:
    """Raise UserError if the index of shards names a wrong file for a tensor."""
    if not (folder / INDEX).exists():
        return
    index = read_object(folder / INDEX).get("weight_map")
    indexed = set(index.items()) if isinstance(index, dict) else set()
    stored = {(name, file) for file, tensors in headers.items() for name in tensors}
    if differing := sorted({name for name, _ in indexed ^ stored}):
        raise UserError(
            f"{folder / INDEX}: does not agree with the shards on {list_tensors(differing)}; "
            "fetch it again"
        )
