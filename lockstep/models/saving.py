"""Save models and tokenizers so that equal ones give equal bytes."""

import json
from pathlib import Path
from typing import Any

from lockstep.models import heads, soft_prompt
from lockstep.models.heads import Head
from lockstep.params import PositiveFloat, Section

RUN_DEPENDENT_CONFIG_KEYS = ("_name_or_path", "transformers_version", "use_cache")
"""Keys of config.json that describe how the file was made, not the model."""

RUN_DEPENDENT_TOKENIZER_KEYS = ("is_local", "local_files_only", "name_or_path")
"""Keys of tokenizer_config.json that describe how the tokenizer was loaded."""


class WeightsParams(Section):
    """Format of the weight files that stages write."""

    max_shard_gb: PositiveFloat = 4.0
    """Maximum size of one weight file, in GB; larger models are written as several shards."""


def save_model(
    model: Any,
    folder: Path,
    max_shard_gb: float,
    start: Path | None = None,
    state: dict[str, Any] | None = None,
) -> None:
    """Write weights and configuration so that equal models give equal bytes.

    PiSSA and OLoRA extract the initial adapter from the base's weights. `start` is the folder of
    that initial adapter; the saved adapter is then converted so that it fits the original base.
    `state` holds all weights if the model itself holds only a part of them.
    """
    conversion = {"path_initial_model_for_weight_conversion": str(start)} if start else {}
    size = f"{max_shard_gb}GB"
    model.save_pretrained(
        folder, max_shard_size=size, safe_serialization=True, state_dict=state, **conversion
    )
    soft_prompt.save_soft_prompt(model, folder)
    normalize_files(folder)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the tokenizer and its chat template so that equal ones give equal bytes."""
    tokenizer.save_pretrained(folder)
    normalize_files(folder)


def save_folder(
    model: Any, tokenizer: Any, head: Head | None, folder: Path, max_shard_gb: float
) -> None:
    """Write a whole model folder: weights, configuration, tokenizer and, if any, the head."""
    save_model(model, folder, max_shard_gb)
    save_tokenizer(tokenizer, folder)
    if head:
        heads.write_head(head, folder)


def normalize_files(folder: Path) -> None:
    """Rewrite the files of a model folder without run-dependent keys, key order and paths."""
    (folder / "README.md").unlink(missing_ok=True)
    for name in ("config.json", "generation_config.json", "adapter_config.json"):
        _normalize_json(folder / name, drop=RUN_DEPENDENT_CONFIG_KEYS)
    _normalize_json(folder / "tokenizer_config.json", drop=RUN_DEPENDENT_TOKENIZER_KEYS)


def _normalize_json(path: Path, drop: tuple[str, ...]) -> None:
    """Rewrite a JSON file with sorted keys and without those in `drop`, if it exists."""
    if not path.exists():
        return
    values = json.loads(path.read_text(encoding="utf-8"))
    values = {key: value for key, value in values.items() if key not in drop}
    for key in ("target_modules", "modules_to_save", "exclude_modules"):
        if isinstance(values.get(key), list):
            values[key] = sorted(values[key])  # PEFT writes sets, in any order
    if "base_model_name_or_path" in values:
        values["base_model_name_or_path"] = "data/base"
    text = json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def count_weight_bytes(folder: Path) -> int:
    """Return the total size of the weight files of a model folder, in bytes."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
