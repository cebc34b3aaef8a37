"""Keys of a base's configuration files: drop those that load code and find the unknown ones."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.hub.local_folder import CONFIG

TOKENIZER_CONFIG = "tokenizer_config.json"

HARMLESS_KEYS = {
    "_commit_hash",
    "_name_or_path",
    "architectures",
    "dtype",
    "gradient_checkpointing",
    "model_type",
    "name_or_path",
    "position_embedding_type",
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
"""Keys of real config.json files that need no note, though configuration classes lack them."""

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


def read_object(path: Path) -> dict[str, Any]:
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


def walk_items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list)):
            yield from walk_items(inner)


def find_code_keys(values: dict[str, Any]) -> list[str]:
    """Return the keys, at any depth, by which transformers would load code or kernels."""
    return sorted({key for key, _ in walk_items(values) if _loads_code(key)})


def drop_code_keys(folder: Path) -> list[str]:
    """Remove the keys that load code from our copy of a model, and return a note for each file.

    Raise UserError if transformers itself lacks the class of the model or of the tokenizer.
    """
    notes = []
    for name in (CONFIG, TOKENIZER_CONFIG):
        path = folder / name
        values = read_object(path)
        _check_types(path, values)
        if keys := find_code_keys(values):
            _check_class(path, values)
            path.unlink()  # it may be a hard link to the user's own file
            text = json.dumps(_remove_code_keys(values), ensure_ascii=False, indent=2)
            path.write_text(f"{text}\n", encoding="utf-8")
            notes.append(
                f"{name}: dropped {', '.join(keys)}, since transformers loads the "
                f"{'model' if name == CONFIG else 'tokenizer'} without other code"
            )
    return notes


def find_unknown_keys(
    values: dict[str, Any], config_class: Any, harmless: Collection[str] = HARMLESS_KEYS
) -> list[str]:
    """Return the keys that the configuration class and its parts do not list, as dotted paths.

    A model may read such a key all the same: Qwen3-MoE reads head_dim.
    """
    try:
        known = (
            set(config_class().to_dict())
            | set(config_class.attribute_map)
            | set(config_class.sub_configs)
        )
    except Exception:  # one of 189 classes fails its own check without arguments
        return []
    unknown = sorted(values.keys() - known - set(harmless))
    for key, part in config_class.sub_configs.items():
        if isinstance(values.get(key), dict) and hasattr(part, "attribute_map"):
            unknown += [f"{key}.{name}" for name in find_unknown_keys(values[key], part, harmless)]
    return unknown


def _loads_code(key: str) -> bool:
    return key in CODE_KEYS or any(part in key for part in CODE_KEY_PARTS)


def _remove_code_keys(value: Any) -> Any:
    """Return a JSON value without the keys that load code, at any depth, in the same order."""
    if isinstance(value, dict):
        return {k: _remove_code_keys(inner) for k, inner in value.items() if not _loads_code(k)}
    return [_remove_code_keys(inner) for inner in value] if isinstance(value, list) else value


def _check_types(path: Path, values: dict[str, Any]) -> None:
    """Raise UserError if a key that names a class has a value of another type."""
    names = values.get("architectures")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(n, str) for n in names)
    ):
        raise UserError(f"{path}: architectures: {names!r} is no list of class names; correct it")
    for key in ("model_type", "tokenizer_class"):
        if values.get(key) is not None and not isinstance(values[key], str):
            raise UserError(f"{path}: {key}: {values[key]!r} is no name; correct it")


def _check_class(path: Path, values: dict[str, Any]) -> None:
    """Raise UserError if only code of the model's own repository has the class that it names."""
    import transformers

    if path.name == CONFIG:
        names = values.get("architectures") or []
        is_known = not names or any(hasattr(transformers, name) for name in names)
    else:
        names = [values.get("tokenizer_class")]
        has_file = (path.parent / "tokenizer.json").exists()  # it describes a tokenizer completely
        is_known = has_file or not names[0] or hasattr(transformers, names[0])
    model_type = values.get("model_type", "")
    if path.name == CONFIG and model_type not in transformers.CONFIG_MAPPING:
        names, is_known = [model_type], False
    if "auto_map" in values and not is_known:
        raise UserError(
            f"{path}: auto_map: only code in the model's own folder has {names[0]}, and such code "
            "is never run; use another base"
        )
