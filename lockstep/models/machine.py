"""Read the class of the machine; machines of one class compute the same bytes."""

import platform
from pathlib import Path
from typing import Any

from lockstep.models import instruction_sets

CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instruction sets for which torch and oneDNN choose other kernels, which change the last bits."""

PORTABLE_CPU = "x86_64 portable"
"""Class of all CPUs with fixed instruction sets (`compute.portable`)."""


def read_machine_class(is_portable: bool | None = None) -> dict[str, Any]:
    """Return CPU architecture, vendor and instruction sets, and the GPU model.

    Two machines for which these are equal give the same bytes. `is_portable` says whether the
    instruction sets are fixed; by default, whether they are in this process.
    """
    if is_portable is None:
        is_portable = instruction_sets.are_fixed()
    return {"cpu": PORTABLE_CPU if is_portable else _read_cpu(), "gpu": _read_gpu_model()}


def _read_cpu() -> str:
    info = instruction_sets.read_cpu_info()
    flags = set(info.get("flags", "").split())
    cpu = [platform.machine(), info.get("vendor_id", platform.processor() or "unknown")]
    return " ".join([*cpu, *(flag for flag in CPU_FLAGS if flag in flags)])


def _read_gpu_model() -> str:
    """Return the driver's name of the first GPU, or "" without one; torch is not imported."""
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    for line in files[0].read_text().splitlines() if files else []:
        if line.startswith("Model:"):
            return line.split(":", 1)[1].strip()
    return ""
