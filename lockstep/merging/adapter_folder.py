"""Read an adapter's folder: adapter_config.json and adapter_model.safetensors, nothing else."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.models import weight_check

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
BASE_RECORD = "base.json"
"""Optional file beside an adapter with the hash of the base that it was trained on."""

_NO_PICKLES = "adapters in other formats are not read; convert it with PEFT's save_pretrained"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a PEFT adapter rather than a whole model."""
    return (folder / CONFIG).exists()


def check_folder(folder: Path) -> None:
    """Raise UserError if an adapter lacks a file, is damaged or holds NaN.

    PEFT would read a pickle, or ask the hub, if the safetensors file were missing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not found; put the adapter there or correct merge.adapters")
    read_config(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"{folder}: has no {WEIGHTS}; {_NO_PICKLES}")
    weight_check.check_file(weights, "copy it again")


def describe_adapter(folder: Path) -> dict[str, Any]:
    """Return the kind, rank and hash of an adapter for merge.json."""
    config = read_config(folder)
    rank = {"rank": config["r"]} if isinstance(config.get("r"), int) else {}
    return {"kind": config["peft_type"], **rank, "sha256": hash_weights(folder)}


def check_recorded_base(folder: Path, base: Path) -> None:
    """Raise UserError if the adapter's folder records the hash of another base."""
    recorded = _read_recorded_hash(folder)
    if recorded and recorded != hash_weights(base):
        raise UserError(f"{folder}: made for another base; {describe_bases(folder, base)}")


def describe_bases(folder: Path, base: Path) -> str:
    """Return what is known of the adapter's base and of the base here, for an error."""
    config = read_config(folder)
    name = config.get("base_model_name_or_path") or "no name"
    revision = f"@{config['revision']}" if config.get("revision") else ""
    recorded = _read_recorded_hash(folder)
    sha256 = f"sha256 {recorded}" if recorded else f"no hash in {BASE_RECORD}"
    return (
        f"its base is {name}{revision} ({sha256}), {base} has sha256 {hash_weights(base)}; use an "
        "adapter of this base"
    )


def hash_weights(folder: Path) -> str:
    """Return a SHA-256 over names and bytes of the weight files in a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as stream:
            total.update(
                path.name.encode() + b"\0" + hashlib.file_digest(stream, "sha256").digest()
            )
    return total.hexdigest()


def write_base_record(base: Path, folder: Path) -> None:
    """Record in an adapter's folder which base it belongs to."""
    text = json.dumps({"sha256": hash_weights(base)}, indent=2)
    (folder / BASE_RECORD).write_text(text + "\n", encoding="utf-8")


def _read_recorded_hash(folder: Path) -> str | None:
    """Return the hash in the adapter's record of its base, if it has one."""
    path = folder / BASE_RECORD
    recorded = _read_object(path).get("sha256") if path.exists() else None
    return recorded if isinstance(recorded, str) else None


def read_config(folder: Path) -> dict[str, Any]:
    """Read adapter_config.json; raise UserError if PEFT could not use it, or would run code.

    `megatron_config` makes PEFT import the module that `megatron_core` names.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: has no {CONFIG}; {_NO_PICKLES}")
    config = _read_object(path)
    if not isinstance(config.get("peft_type"), str):
        raise UserError(f"{path}: peft_type is missing; use an adapter that PEFT saved")
    if config.get("megatron_config") is not None:
        raise UserError(f"{path}: megatron_config would import foreign code; remove it")
    return config


def _read_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); copy it again") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a JSON object; copy it again")
    return values
