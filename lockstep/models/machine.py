"""The class of the machine: two of one class give the same bytes."""

import platform
from pathlib import Path
from typing import Any

CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instruction sets by which torch and oneDNN choose other kernels, hence other last bits."""


def read_machine_class() -> dict[str, Any]:
    """What two machines must share to give the same bytes: CPU maker, kernels, GPU model."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    pairs = (line.partition(":") for line in text.splitlines())
    info = {name.strip(): value.strip() for name, _, value in pairs}
    flags = set(info.get("flags", "").split())
    cpu = [platform.machine(), info.get("vendor_id", platform.processor() or "unknown")]
    cpu += [flag for flag in CPU_FLAGS if flag in flags]
    return {"cpu": " ".join(cpu), "gpu": _gpu()}


def _gpu() -> str:
    """The driver's name of the first GPU, without importing torch; empty where there is none."""
    models = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    for line in models[0].read_text().splitlines() if models else []:
        if line.startswith("Model:"):
            return line.split(":", 1)[1].strip()
    return ""
