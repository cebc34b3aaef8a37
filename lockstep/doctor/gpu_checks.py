"""Check that torch can use the GPU of this machine with its driver."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lockstep.doctor.finding import ERROR, OK, WARNING, Finding

TIMEOUT = 60
"""Maximum number of seconds for nvidia-smi and for the import of torch."""

TORCH_REPORT = """
import json, torch
print(json.dumps([torch.__version__, torch.version.cuda, torch.cuda.is_available()]))
"""
"""Program of a process of its own: a damaged torch may end it."""

PCI_DEVICES = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY = "0x10de", "0x03"
"""PCI's numbers of the vendor and of the class of display controllers."""


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver and the GPUs that it serves."""

    gpus: tuple[str, ...]
    version: str
    cuda: str
    """Newest CUDA that the driver supports."""


@dataclass(frozen=True)
class Torch:
    """The installed build of torch."""

    version: str
    cuda: str | None
    """CUDA for which it was built; None for a build without CUDA."""
    finds_gpu: bool
    warning: str
    """Last line that it wrote on stderr."""


def check_gpu(root: Path) -> Iterator[Finding]:
    """Yield whether models will run on a GPU, and why not if there is one."""
    if importlib.util.find_spec("torch") is None:  # the line about packages says it
        return
    torch = read_torch()
    if isinstance(torch, str):
        yield Finding(ERROR, "torch", f"does not load: {torch}", "run `make -B setup`")
        return
    yield judge_gpu(read_driver(), torch, has_nvidia_device(PCI_DEVICES))


def judge_gpu(driver: Driver | None, torch: Torch, has_device: bool) -> Finding:
    """Return what the driver and the build of torch mean for the models.

    `has_device` says whether the machine has an NVIDIA GPU, also without a driver.
    """
    build = f"torch {torch.version}"
    if torch.finds_gpu:
        served = f"{', '.join(driver.gpus)}, driver {driver.version}, " if driver else ""
        return Finding(OK, "gpu", f"{served}{build}")
    if driver is None and not has_device:
        return Finding(OK, "gpu", f"no NVIDIA GPU, so models run on the CPU; {build}")
    if driver is None:
        message = "this machine has an NVIDIA GPU, but nvidia-smi does not answer"
        remedy = "install the driver; in a container, start it with access to the GPU"
        return Finding(WARNING, "gpu", message, remedy)
    gpus = f"{', '.join(driver.gpus)} is not used"
    if torch.cuda is None:
        remedy = "install a build with CUDA (pytorch.org says how)"
        return Finding(WARNING, "gpu", f"{gpus}: {build} is built without CUDA", remedy)
    if int(driver.cuda.split(".")[0]) < int(torch.cuda.split(".")[0]):
        message = f"driver {driver.version} supports CUDA {driver.cuda}, {build} needs {torch.cuda}"
        remedy = "update the driver, or install a build for an older CUDA"
        return Finding(WARNING, "gpu", f"{gpus}: {message}", remedy)
    reason = torch.warning or "it finds no device"
    remedy = "look at CUDA_VISIBLE_DEVICES and at `nvidia-smi`"
    return Finding(WARNING, "gpu", f"{gpus}: {build}: {reason}", remedy)


def read_driver() -> Driver | None:
    """Return what nvidia-smi reports; None if it is missing, fails or knows no GPU."""
    gpus = _run_nvidia_smi("--query-gpu=name", "--format=csv,noheader").splitlines()
    header = _run_nvidia_smi()
    version = re.search(r"Driver Version:\s*([\d.]+)", header)
    cuda = re.search(r"CUDA Version:\s*(\d[\d.]*)", header)
    if not (gpus and version and cuda):
        return None
    return Driver(tuple(gpus), version[1], cuda[1])


def _run_nvidia_smi(*arguments: str) -> str:
    """Return its output, which is empty if it fails."""
    command = ["nvidia-smi", *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)  # noqa: S603 - fixed words
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""


def read_torch() -> Torch | str:
    """Return the build of torch, or the reason why it does not load."""
    command = [sys.executable, "-c", TORCH_REPORT]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)  # noqa: S603 - fixed words
    except subprocess.TimeoutExpired:
        return f"its import takes over {TIMEOUT} s"
    lines = result.stderr.strip().splitlines()
    warning = lines[-1].strip() if lines else ""
    if result.returncode:
        return warning or f"exit code {result.returncode}"
    version, cuda, finds_gpu = json.loads(result.stdout)
    return Torch(version, cuda, finds_gpu, warning)


def has_nvidia_device(devices: Path) -> bool:
    """Whether the folder of PCI devices, which Linux has, names an NVIDIA GPU."""
    return any(
        vendor.read_text().startswith(NVIDIA)
        and vendor.with_name("class").read_text().startswith(DISPLAY)
        for vendor in devices.glob("*/vendor")
    )
