"""What must hold of a base before it is loaded: known keys, no code, every tensor there."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub.local_folder import CONFIG, INDEX

HARMLESS = {
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "dtype",
    "model_type",
    "name_or_path",
    "pretraining_tp",
    "rope_scaling",
    "rope_theta",
    "sep_token_id",
    "task_specific_params",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "use_mrope",
}
"""Common in real config.json files, though today's configuration class no longer has them."""

WITHOUT_CHOICE = {"gradient_checkpointing": False, "position_embedding_type": "absolute"}
"""Of BERT's kin: keys that the class no longer has, with the one value that it now stands for."""

LOADERS = {
    "allow_all_kernels",
    "auto_map",
    "code_revision",
    "custom_pipelines",
    "fusion_config",
    "kernel_config",
    "transformers_weights",
    "trust_remote_code",
    "use_kernels",
}
LOADER_PARTS = ("attn_implementation", "experts_implementation", "flash_implementation")
"""By these keys transformers 5 fetches code or kernels, or other weights than those inspected."""

QUANTIZED = ("quantization_config", "compression_config")


def inspect_base(folder: Path, allowed_config_keys: Sequence[str]) -> dict[str, Any]:
    """The configuration of a base; UserError, by name, of one that could run code or would load
    with random weights.

    transformers itself fills a missing tensor with random values and says nothing. Only the
    headers of the weights are read; the model is built on the meta device, without memory.
    """
    config = _object(folder / CONFIG)
    _object(folder / "generation_config.json")  # no stage reads it before merge saves it
    tokenizer = folder / "tokenizer_config.json"
    for path, values in ((folder / CONFIG, config), (tokenizer, _object(tokenizer))):
        for key in _keys(values):
            if key in LOADERS or any(part in key for part in LOADER_PARTS):
                raise UserError(f"{path}: {key}: can load code, never allowed; take another base")
    for key, value in _items(config):
        if key in QUANTIZED and value:
            raise UserError(
                f"{folder / CONFIG}: {key}: this base is already quantized, and merging needs "
                "the original weights; take the model it was made from"
            )
    _check_keys(config, _configuration(config, folder), allowed_config_keys, folder / CONFIG)
    headers = _headers(folder)
    _check_index(folder, headers)
    tensors = {name: tensor for shard in headers.values() for name, tensor in shard.items()}
    _check_tensors(config, tensors, folder)
    return config


def update_config(folder: Path, configuration: dict[str, Any]) -> None:
    """Put other values into config.json; whether they fit is for `inspect_base` to say."""
    path = folder / CONFIG
    changed = _object(path) | configuration
    path.unlink()  # it may be a link to a file of the user's
    outputs.write_json(path, changed)


def is_causal_lm(config: dict[str, Any]) -> bool:
    """Whether the weights are of a causal language model: BERT has that class too, but seldom."""
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    named = config.get("architectures") or [""]
    cls = CONFIG_MAPPING[config["model_type"]]
    if cls not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return False
    own: Any = MODEL_FOR_CAUSAL_LM_MAPPING[cls]
    return (
        own.__name__ in named
        or str(named[0]).endswith(("ForCausalLM", "LMHeadModel"))
        or named == [""]
    )


def _object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not JSON; fetch it again") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a JSON object; fetch it again")
    return values


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from _items(inner)


def _keys(value: Any) -> list[str]:
    return [key for key, _ in _items(value)]


def _configuration(config: dict[str, Any], folder: Path) -> Any:
    """The configuration class of the base's model_type."""
    from transformers import (
        CONFIG_MAPPING,
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    )

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise UserError(
            f"{folder / CONFIG}: model_type: {model_type!r} is unknown to this transformers; "
            "take another base"
        )
    cls = CONFIG_MAPPING[model_type]
    if (
        cls not in MODEL_FOR_CAUSAL_LM_MAPPING
        and cls not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    ):
        raise UserError(
            f"{folder / CONFIG}: model_type: {model_type} neither writes text nor classifies it; "
            "take another base"
        )
    return cls


def _check_keys(values: dict[str, Any], cls: Any, allowed: Collection[str], path: Path) -> None:
    """The keys that the class itself knows, and those of its sub-configurations, no others."""
    try:
        known = set(cls().to_dict()) | set(cls.attribute_map) | set(cls.sub_configs)
    except Exception:  # one of 189 classes fails its own check without arguments
        raise UserError(
            f"{path}: {cls.__name__} has no default whose keys could be allowed; take another base"
        ) from None
    gone = {key for key, value in WITHOUT_CHOICE.items() if values.get(key) == value}
    for key in sorted(values.keys() - known - HARMLESS - gone - set(allowed)):
        raise UserError(
            f"{path}: {key}: unknown key; add it to base.allowed_config_keys if you trust it"
        )
    for key, inner in cls.sub_configs.items():
        if isinstance(values.get(key), dict) and hasattr(inner, "attribute_map"):
            _check_keys(values[key], inner, allowed, path)


def _headers(folder: Path) -> dict[str, dict[str, Any]]:
    """For each file its tensors, as empty ones of the same shape on the meta device."""
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
                f"{path}: not a whole safetensors file ({error}); fetch it again"
            ) from None
    return headers


def _check_index(folder: Path, headers: dict[str, dict[str, Any]]) -> None:
    """The index, if there is one, must place each tensor in the file that holds it."""
    if not (folder / INDEX).exists():
        return
    index = _object(folder / INDEX).get("weight_map")
    placed = set(index.items()) if isinstance(index, dict) else set()
    held = {(name, file) for file, tensors in headers.items() for name in tensors}
    if wrong := sorted({name for name, _ in placed ^ held}):
        raise UserError(
            f"{folder / INDEX}: does not agree with the shards on {_some(wrong)}; fetch it again"
        )


def _check_tensors(config: dict[str, Any], tensors: dict[str, Any], folder: Path) -> None:
    """Load the empty tensors as transformers loads real ones: renamed, fused and tied alike."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModel, AutoModelForCausalLM
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import convert_and_load_state_dict_in_model
    from transformers.modeling_utils import LoadStateDictConfig

    try:
        with torch.device("meta"):
            loader: Any = AutoModelForCausalLM if is_causal_lm(config) else AutoModel
            model = loader.from_config(CONFIG_MAPPING[config["model_type"]].from_dict(dict(config)))
    except Exception as error:  # the library's own checks of values raise nearly every kind
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{folder / CONFIG}: {reason}; take another base") from None
    renaming: Any = get_model_conversion_mapping(model)
    loading = LoadStateDictConfig(device_map={"": "meta"}, weight_mapping=renaming)
    found, _ = convert_and_load_state_dict_in_model(model, tensors, loading, None)
    model.tie_weights(missing_keys=found.missing_keys, recompute_mapping=False)
    model._adjust_missing_and_unexpected_keys(found)
    if found.missing_keys:
        raise UserError(
            f"{folder}: the weights lack {_some(sorted(found.missing_keys))} "
            f"of {config['model_type']}; fetch them again or take another base"
        )
    if found.mismatched_keys:
        wrong = [
            f"{name} {list(is_)}, not {list(must)}"
            for name, is_, must in sorted(found.mismatched_keys)
        ]
        raise UserError(f"{folder}: wrong shapes: {_some(wrong)}; {CONFIG} is not of these weights")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} tensors ({', '.join(names[:3])}{more})"
