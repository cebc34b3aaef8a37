"""Inspect a base model before it is loaded: known keys, no code, no missing tensor."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub.local_folder import CONFIG, INDEX

HARMLESS_KEYS = {
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "decoder_start_token_id",
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
"""Keys that real config.json files have, though current configuration classes no longer do."""

REMOVED_KEYS = {"gradient_checkpointing": False, "position_embedding_type": "absolute"}
"""Keys that BERT's classes no longer have, with the one value that they now always use."""

CODE_KEYS = {
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
"""Keys by which transformers 5 loads code, kernels or weights other than those inspected."""

CODE_KEY_PARTS = ("attn_implementation", "experts_implementation", "flash_implementation")
"""Parts of further keys by which transformers 5 loads code or kernels."""

QUANTIZATION_KEYS = ("quantization_config", "compression_config")
"""Keys that a quantized model has."""


def inspect_base(folder: Path, allowed_config_keys: Sequence[str]) -> dict[str, Any]:
    """Return config.json of a base model that is safe to load.

    Raise UserError if the model could run code or if a tensor is missing: transformers would fill
    it with random values and continue. Only the headers of the weight files are read, and the model
    is built on the meta device, which takes no memory.
    """
    config = _read_object(folder / CONFIG)
    _read_object(folder / "generation_config.json")  # otherwise merge would be the first to read it
    tokenizer = folder / "tokenizer_config.json"
    for path, values in ((folder / CONFIG, config), (tokenizer, _read_object(tokenizer))):
        for key in _walk_keys(values):
            if key in CODE_KEYS or any(part in key for part in CODE_KEY_PARTS):
                raise UserError(f"{path}: {key}: can load code, never allowed; use another base")
    for key, value in _walk_items(config):
        if key in QUANTIZATION_KEYS and value:
            raise UserError(
                f"{folder / CONFIG}: {key}: this base is already quantized, and merging needs "
                "the original weights; use the model that it was made from"
            )
    _check_keys(config, _find_config_class(config, folder), allowed_config_keys, folder / CONFIG)
    headers = _read_headers(folder)
    _check_index(folder, headers)
    tensors = {name: tensor for shard in headers.values() for name, tensor in shard.items()}
    _check_tensors(config, tensors, folder)
    return config


def update_config(folder: Path, configuration: dict[str, Any]) -> None:
    """Replace values in config.json; `inspect_base` checks whether they are valid."""
    path = folder / CONFIG
    updated = _read_object(path) | configuration
    path.unlink()  # it may be a hard link to the user's own file
    outputs.write_json(path, updated)


def is_causal_lm(config: dict[str, Any]) -> bool:
    """Whether the weights are those of a causal language model.

    The model type alone does not decide this: BERT has a causal class too, which is rarely used.
    """
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    architectures = config.get("architectures") or [""]
    config_class = CONFIG_MAPPING[config["model_type"]]
    if config_class not in MODEL_FOR_CAUSAL_LM_MAPPING or is_seq2seq_lm(config):
        return False
    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[config_class]
    return (
        model_class.__name__ in architectures
        or str(architectures[0]).endswith(("ForCausalLM", "LMHeadModel"))
        or architectures == [""]
    )


def is_seq2seq_lm(config: dict[str, Any]) -> bool:
    """Whether the weights are those of a sequence-to-sequence language model, such as T5."""
    from transformers import CONFIG_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING

    config_class: Any = CONFIG_MAPPING[config["model_type"]]
    if config_class not in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        return False
    return bool(config.get("is_encoder_decoder", config_class.is_encoder_decoder))


def _read_object(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object; return an empty one if the file does not exist."""
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not JSON; fetch it again") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a JSON object; fetch it again")
    return values


def _walk_items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from _walk_items(inner)


def _walk_keys(value: Any) -> list[str]:
    """Return every key, at any depth."""
    return [key for key, _ in _walk_items(value)]


def _find_config_class(config: dict[str, Any], folder: Path) -> Any:
    """Return the configuration class of the base's model_type."""
    from transformers import (
        CONFIG_MAPPING,
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    )

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise UserError(
            f"{folder / CONFIG}: model_type: {model_type!r} is unknown to this transformers; "
            "use another base"
        )
    config_class = CONFIG_MAPPING[model_type]
    if (
        config_class not in MODEL_FOR_CAUSAL_LM_MAPPING
        and config_class not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
        and not is_seq2seq_lm(config)
    ):
        raise UserError(
            f"{folder / CONFIG}: model_type: {model_type} neither generates nor classifies text; "
            "use another base"
        )
    return config_class


def _check_keys(
    values: dict[str, Any], config_class: Any, allowed: Collection[str], path: Path
) -> None:
    """Raise UserError for a key that the configuration class and its parts do not know."""
    try:
        known = (
            set(config_class().to_dict())
            | set(config_class.attribute_map)
            | set(config_class.sub_configs)
        )
    except Exception:  # one of 189 classes fails its own check without arguments
        raise UserError(
            f"{path}: {config_class.__name__} has no default that would name its keys; "
            "use another base"
        ) from None
    removed = {key for key, value in REMOVED_KEYS.items() if values.get(key) == value}
    for key in sorted(values.keys() - known - HARMLESS_KEYS - removed - set(allowed)):
        raise UserError(
            f"{path}: {key}: unknown key; add it to base.allowed_config_keys if you trust it"
        )
    for key, part in config_class.sub_configs.items():
        if isinstance(values.get(key), dict) and hasattr(part, "attribute_map"):
            _check_keys(values[key], part, allowed, path)


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
    index = _read_object(folder / INDEX).get("weight_map")
    indexed = set(index.items()) if isinstance(index, dict) else set()
    stored = {(name, file) for file, tensors in headers.items() for name in tensors}
    if differing := sorted({name for name, _ in indexed ^ stored}):
        raise UserError(
            f"{folder / INDEX}: does not agree with the shards on {_list_tensors(differing)}; "
            "fetch it again"
        )


def _check_tensors(config: dict[str, Any], tensors: dict[str, Any], folder: Path) -> None:
    """Raise UserError if a tensor that the model needs is missing or has a wrong shape.

    The empty tensors are loaded as transformers loads real ones: renamed, fused and tied.
    """
    import torch
    from transformers import CONFIG_MAPPING, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import convert_and_load_state_dict_in_model
    from transformers.modeling_utils import LoadStateDictConfig

    try:
        with torch.device("meta"):
            loader: Any = AutoModel
            if is_causal_lm(config):
                loader = AutoModelForCausalLM
            elif is_seq2seq_lm(config):
                loader = AutoModelForSeq2SeqLM
            model = loader.from_config(CONFIG_MAPPING[config["model_type"]].from_dict(dict(config)))
    except Exception as error:  # the library's own checks of values raise nearly every kind
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{folder / CONFIG}: {reason}; use another base") from None
    conversion: Any = get_model_conversion_mapping(model)
    loading = LoadStateDictConfig(device_map={"": "meta"}, weight_mapping=conversion)
    report, _ = convert_and_load_state_dict_in_model(model, tensors, loading, None)
    model.tie_weights(missing_keys=report.missing_keys, recompute_mapping=False)
    model._adjust_missing_and_unexpected_keys(report)
    if report.missing_keys:
        raise UserError(
            f"{folder}: the weights lack {_list_tensors(sorted(report.missing_keys))} "
            f"of {config['model_type']}; fetch them again or use another base"
        )
    if report.mismatched_keys:
        mismatches = [
            f"{name} {list(shape)}, not {list(expected)}"
            for name, shape, expected in sorted(report.mismatched_keys)
        ]
        raise UserError(
            f"{folder}: wrong shapes: {_list_tensors(mismatches)}; "
            f"{CONFIG} does not belong to these weights"
        )


def _list_tensors(names: Sequence[str]) -> str:
    """Return the number of tensors and the names of the first three."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} tensors ({', '.join(names[:3])}{more})"
