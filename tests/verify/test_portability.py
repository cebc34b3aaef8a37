"""The hashes that compare CPUs do not depend on what the process inherits."""

import os
import subprocess
import sys

import pytest

from lockstep.models import instruction_sets
from tests.conftest import REPOSITORY

SETTINGS: dict[str, dict[str, str]] = {
    "nothing": {},
    "old CPU": {
        "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "DNNL_MAX_CPU_ISA": "SSE41",
    },
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI",
        "OPENBLAS_CORETYPE": "Zen", "NPY_ENABLE_CPU_FEATURES": "X86_V3",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW",
    },
    "AVX-512": {
        "ATEN_CPU_CAPABILITY": "avx512", "MKL_CBWR": "AVX512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "OPENBLAS_CORETYPE": "SkylakeX", "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
        "ONEDNN_CPU_ISA_HINTS": "PREFER_YMM",
    },
}  # fmt: skip
"""What a process may inherit on machines of several kinds, as far as variables emulate them."""

MEASURED = {
    "mm": "9644942e43", "mm_odd": "419ad81bcd", "bmm": "d98836270a", "softmax": "b015b1c432",
    "silu": "df1e6697a9", "gelu": "ea0e965a82", "exp": "bb7fb901fd", "cos": "a31c4fbb98",
    "rsqrt": "b80f9373f1", "sum": "b7166702a5", "mean": "6a0337d352", "layer_norm": "03318f521b",
    "randn": "a252071072", "cross_entropy": "69cba2c22f",
}  # fmt: skip
"""Hashes of an AMD EPYC with AVX2 and torch 2.13.0, computed by another program than ours."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not instruction_sets.has_required_instructions(), reason="needs an x86-64 CPU with AVX2"
    ),
]


def print_hashes(setting: str, *options: str) -> dict[str, str]:
    """Return the hash of each operation in a process that inherits a setting."""
    known = {*instruction_sets.VARIABLES, *instruction_sets.REMOVED_VARIABLES}
    inherited = {name: value for name, value in os.environ.items() if name not in known}
    result = subprocess.run(
        [sys.executable, "-m", "lockstep.verify.portability", *options],
        cwd=REPOSITORY, capture_output=True, text=True, env={**inherited, **SETTINGS[setting]},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return dict(line.split() for line in result.stdout.splitlines()[1:])


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    """Return the hashes of a process that inherits nothing."""
    return print_hashes("nothing")


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "nothing"])
def test_bytes_are_equal_under_all_inherited_settings(hashes: dict[str, str], setting: str) -> None:
    assert print_hashes(setting) == hashes


def test_without_fixed_instruction_sets_the_settings_change_bytes(hashes: dict[str, str]) -> None:
    """Every library is tested: an operation of each one differs if its kernels are not fixed."""
    native = print_hashes("old CPU", "--native")
    differing = {name for name, digest in hashes.items() if native[name] != digest}
    assert differing >= {"mm", "silu", "gelu", "randn", "numpy_mm", "trained"}


def test_another_maker_s_cpu_gave_the_same_bytes(hashes: dict[str, str]) -> None:
    """The hashes depend on the version of torch, so an upgrade needs a new measurement."""
    import torch

    if torch.__version__.partition("+")[0] != "2.13.0":
        pytest.skip("measured with torch 2.13.0")
    assert {name: hashes[name] for name in MEASURED} == MEASURED
