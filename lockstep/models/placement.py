"""Measure the memory that a device has left for weights."""

from typing import Any


def measure_free_bytes(device: str) -> int:
    """Return the bytes that are free on a device, `cpu` or `cuda`."""
    import psutil
    import torch

    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    return int(psutil.virtual_memory().available)


def fits_in_float32(model: Any) -> bool:
    """Whether the memory of the model's device can hold all its weights in 32 bits."""
    grown = sum(p.numel() * max(0, 4 - p.element_size()) for p in model.parameters())
    largest = max(p.numel() * 4 for p in model.parameters())  # merging copies one at a time
    return grown + 2 * largest < measure_free_bytes(model.device.type)
