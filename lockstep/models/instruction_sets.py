"""Fix the instruction sets of the libraries that compute (`compute.portable`).

MKL, ATen, oneDNN, OpenBLAS and numpy choose their kernels by the CPU, and kernels for different
instruction sets round differently in the last bits. With `compute.portable` all of them use the
same kernels on every x86-64 CPU with AVX2, so the bytes of a result do not depend on the CPU.
docs/reproducibility.md names each library, what is fixed for it, and the measurements.
"""

import os
import platform
import sys
from pathlib import Path
from typing import Literal

import click

from lockstep import params
from lockstep.errors import UserError
from lockstep.params import Part, Section

Portable = Literal[True, False, "auto"]
"""Whether bytes must not depend on the CPU; auto: where the CPU has the instructions."""

VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels; bitsandbytes' choice for int8 follows it
    "MKL_CBWR": "COMPATIBLE",  # the only branch that MKL has on the CPUs of all makers
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
    "OPENBLAS_CORETYPE": "Haswell",  # numpy's and scipy's copy
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",  # numpy uses these beside its baseline and no others
}
"""Environment variables that fix the instruction sets; libraries read them when they are loaded."""

REMOVED_VARIABLES = (
    "DNNL_CPU_ISA_HINTS",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",  # numpy refuses it together with NPY_ENABLE_CPU_FEATURES
    "ONEDNN_CPU_ISA_HINTS",
)
"""Environment variables that would change the fixed settings."""

REQUIRED_FLAGS = frozenset({"abm", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"})
"""Flags in /proc/cpuinfo of x86-64-v3, the level of the fixed kernels: AVX2, FMA and others."""

LIBRARIES = ("numpy", "torch")
"""Modules that read the variables while they are imported."""


class PortableParams(Part):
    """The setting of `compute` for stages that compute without torch."""

    portable: Portable = False


class _PortableSection(Section):
    compute: PortableParams


def read_cpu_info() -> dict[str, str]:
    """Return the entries of /proc/cpuinfo for the last core; empty on systems other than Linux."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def has_required_instructions() -> bool:
    """Whether this CPU can run the fixed kernels."""
    flags = set(read_cpu_info().get("flags", "").split())
    return platform.machine() == "x86_64" and flags >= REQUIRED_FLAGS


def describe_missing_instructions() -> str:
    """Return what this CPU is and lacks, for messages."""
    return f"it needs an x86-64 CPU with AVX2 and FMA, and this one is {platform.machine()}" + (
        " without them" if platform.machine() == "x86_64" else ""
    )


def is_portable(portable: Portable) -> bool:
    """Whether the instruction sets are fixed on this CPU for a value of `compute.portable`."""
    return bool(portable) and has_required_instructions()


def read_portable(file: Path = params.FILE) -> bool:
    """Return whether params.yaml fixes the instruction sets on this CPU."""
    return is_portable(_read_setting(file))


def _read_setting(file: Path) -> Portable:
    """Return `compute.portable`; False from a file with mistakes, which other checks report."""
    try:
        return params.read(_PortableSection, file).compute.portable
    except UserError:
        return False


def are_fixed() -> bool:
    """Whether the environment of this process fixes the instruction sets."""
    has_values = all(os.environ.get(name) == value for name, value in VARIABLES.items())
    return has_values and not any(name in os.environ for name in REMOVED_VARIABLES)


def fix_instruction_sets() -> None:
    """Set the environment variables if params.yaml asks for it; otherwise change nothing.

    Values that the user or the system set are overwritten. A process that has imported a library
    already starts its command again in its place, with the same process id and arguments.
    """
    if are_fixed() or not read_portable():
        return
    set_variables()
    if any(library in sys.modules for library in LIBRARIES):
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell


def set_variables() -> None:
    """Set and remove the environment variables; libraries must be imported after this."""
    os.environ.update(VARIABLES)
    for name in REMOVED_VARIABLES:
        os.environ.pop(name, None)


def report_native_kernels(file: Path = params.FILE) -> None:
    """Say in one line that `auto` leaves the instruction sets to this CPU, if it does."""
    if _read_setting(file) == "auto" and not has_required_instructions():
        click.echo(
            "compute.portable: auto leaves the instruction sets to this CPU, so bytes differ from "
            f"other machines: {describe_missing_instructions()}",
            err=True,
        )
