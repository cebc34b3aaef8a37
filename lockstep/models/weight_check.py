"""Check that weight files are complete and finite, and that the disk has room for new ones."""

import math
import shutil
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError

REMEDY = "run `dvc repro merge`"
"""Remedy for a damaged folder of the merged model."""


def check_weights(folder: Path) -> None:
    """Raise UserError if a weight file of the merged model is missing, damaged or not finite."""
    for path in _list_shards(folder):
        if not path.exists():
            raise UserError(f"{path}: not found; {REMEDY}")
    for path in sorted(folder.glob("*.safetensors")):
        check_file(path, REMEDY)


def _list_shards(folder: Path) -> list[Path]:
    """Return the weight files that transformers loads."""
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

    whole, index = folder / SAFE_WEIGHTS_NAME, folder / SAFE_WEIGHTS_INDEX_NAME
    if whole.exists() or not index.exists():
        return [whole]
    return [folder / name for name in sorted(set(outputs.read_json(index)["weight_map"].values()))]


def check_file(path: Path, remedy: str) -> None:
    """Raise UserError if a weight file is truncated or holds NaN or infinity.

    `remedy` says how to get a truncated file again. One tensor is in memory at a time.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (a safetensors file cannot be iterated)
                check_finite(file.get_tensor(name), f"{path}: {name}")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a complete safetensors file ({error}); {remedy}") from None


def check_finite(tensor: Any, where: str) -> None:
    """Raise UserError if a tensor holds NaN or infinity; `where` is its file and name."""
    if not (tensor.is_floating_point() and tensor.numel()):
        return
    extremes = [float(extreme) for extreme in tensor.aminmax()]  # isfinite would take memory
    if not all(map(math.isfinite, extremes)):
        kind = "NaN" if any(map(math.isnan, extremes)) else "infinity"
        raise UserError(
            f"{where} holds {kind}; fetch the weights again, or train again with a lower learning "
            "rate"
        )


def check_space(folder: Path, needed: int) -> None:
    """Raise UserError if the disk of a new folder has less than `needed` bytes free."""
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise UserError(
            f"{folder.parent}: the weights need {needed:,} bytes, and {free:,} are free; make room "
            "(`dvc gc` removes old outputs)"
        )
