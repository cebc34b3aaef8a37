"""Read the class of the machine; machines of one class compute the same bytes."""

import platform
from pathlib import Path
from typing import Any

CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instruction sets for which torch and oneDNN choose other kernels, which change the last bits."""


def read_machine_class() -> dict[str, Any]:
    """Return CPU architecture, vendor and instruction sets, and the GPU model.

    Two machines for which these are equal give the same bytes.
    """
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    pairs = (line.partition(":") for line in text.splitlines())
    info = {name.strip(): value.strip() for name, _, value in pairs}
    flags = set(info.get("flags", "").split())
    cpu = [platform.machine(), info.get("vendor_id", platform.processor() or "unknown")]
    cpu += [flag for flag in CPU_FLAGS if flag in flags]
    return {"cpu": " ".join(cpu), "gpu": _read_gpu_model()}


def _read_gpu_model() -> str:
    """Return the driver's name of the first GPU, or "" without one; torch is not imported."""
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    for line in files[0].read_text().splitlines() if files else []:
        if line.startswith("Model:"):
            return line.split(":", 1)[1].strip()
    return ""
