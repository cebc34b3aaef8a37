"""Choose the devices and the attention kernel that a model is loaded with."""

import importlib.metadata
from pathlib import Path
from typing import Any

import click

from lockstep.errors import UserError
from lockstep.models import compute, saving

USABLE_SHARE = 0.8
"""Share of a GPU's free memory that weights may take; the rest is left for activations."""

FLASH_ATTENTION = "flash_attention_2"

Devices = str | dict[int, int] | None
"""`cpu` or `cuda`, or bytes by number of a GPU to divide the model among GPUs; None: no choice."""


def choose_devices(folder: Path, size: int | None = None) -> Devices:
    """Return the devices for the model of a folder, according to `runtime.device`.

    A model that the chosen GPU cannot hold is divided among all GPUs, and one that they cannot
    hold together is loaded on the CPU. `size` is its size in bytes, by default that of its files.
    """
    device = compute.select_device()
    if device == "cpu":
        return device
    import torch

    size = saving.count_weight_bytes(folder) if size is None else size
    usable = {
        number: int(torch.cuda.mem_get_info(number)[0] * USABLE_SHARE)
        for number in range(torch.cuda.device_count())
    }
    if size <= usable[torch.cuda.current_device()]:
        return device
    if size <= sum(usable.values()):
        return usable
    click.echo(
        f"{folder}: {size / 1e9:.1f} GB do not fit on the GPUs; it runs on the CPU", err=True
    )
    return "cpu"


def build_device_arguments(devices: Devices) -> dict[str, Any]:
    """Return the arguments of transformers' `from_pretrained` that place the model."""
    if isinstance(devices, dict):
        return {"device_map": "auto", "max_memory": devices}
    return {"device_map": devices}


def fits_in_float32(model: Any) -> bool:
    """Whether the memory of the model's device can hold all its weights in 32 bits.

    A model that is divided among devices does not count as fitting.
    """
    import psutil
    import torch

    if len(set(getattr(model, "hf_device_map", {}).values())) > 1:
        return False
    is_on_gpu = model.device.type == "cuda"
    free = torch.cuda.mem_get_info()[0] if is_on_gpu else psutil.virtual_memory().available
    grown = sum(p.numel() * max(0, 4 - p.element_size()) for p in model.parameters())
    largest = max(p.numel() * 4 for p in model.parameters())  # merging copies one at a time
    return bool(grown + 2 * largest < free)


def describe_missing_flash_attention() -> str | None:
    """Return why flash_attention_2 cannot be used, as far as installed packages tell."""
    try:
        importlib.metadata.version("flash-attn")
    except importlib.metadata.PackageNotFoundError:
        return "flash_attention_2 needs the package flash-attn; install it, or set it to sdpa"
    return None


def check_attention(attention: str) -> None:
    """Raise UserError if the attention kernel cannot run here.

    transformers would fetch a replacement for flash-attn from the hub, which is never done.
    """
    if attention != FLASH_ATTENTION:
        return
    from transformers.utils import is_flash_attn_2_available

    problem = describe_missing_flash_attention()
    if problem is None and not is_flash_attn_2_available():
        problem = "flash_attention_2 needs a GPU and flash-attn from 2.3.3 on; set it to sdpa"
    if problem:
        raise UserError(f"params.yaml: compute.attention: {problem}")
