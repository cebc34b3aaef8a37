"""With compute.portable, inherited settings and the CPU's instruction sets change no byte."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lockstep.models import instruction_sets, machine
from tests.conftest import REPOSITORY

V3_FLAGS = "fpu sse4_2 avx avx2 fma bmi1 bmi2 f16c abm movbe"
INHERITED = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ONEDNN_DEFAULT_FPMATH_MODE": "ANY",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4",
    "DNNL_MAX_CPU_ISA": "SSE41",
}
PRINT_VARIABLES = """
import json, os, sys
import numpy as np
from lockstep.models import instruction_sets
from lockstep.cli import runner
import click

@click.command()
@click.argument("words", nargs=-1)
def main(words):
    import torch
    from lockstep.models import compute, machine
    compute.set_up_torch(compute.ComputeParams(threads=1, attention="eager"), 7)
    names = [*instruction_sets.VARIABLES, *instruction_sets.REMOVED_VARIABLES]
    print(json.dumps({
        "variables": {name: os.environ.get(name) for name in names},
        "capability": torch.backends.cpu.get_cpu_capability(),
        "numpy": [name for name in ("X86_V3", "X86_V4")
                  if np._core._multiarray_umath.__cpu_features__[name]],
        "machine": machine.read_machine_class()["cpu"],
        "words": words,
    }))

runner.run(main)
"""
pytestmark = pytest.mark.skipif(
    not instruction_sets.has_required_instructions(), reason="needs an x86-64 CPU with AVX2"
)


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the entries of /proc/cpuinfo that the code under test sees; a test may change them."""
    info = {"vendor_id": "GenuineIntel", "flags": V3_FLAGS}
    monkeypatch.setattr(instruction_sets, "read_cpu_info", lambda: info)
    return info


def run_command(workspace: Path, portable: Any, **environment: str) -> dict[str, Any]:
    """Run a command of the pipeline that has imported numpy before its parameters are read."""
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("  portable: ")]
    lines.insert(lines.index("compute:") + 1, f"  portable: {json.dumps(portable)}")
    (workspace / "params.yaml").write_text("\n".join(lines), encoding="utf-8")
    (workspace / "command.py").write_text(PRINT_VARIABLES)
    result = subprocess.run(
        [sys.executable, "-X", "utf8", "command.py", "two words", "-", "文"],
        cwd=workspace, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    values: dict[str, Any] = json.loads(result.stdout)
    return values


@pytest.mark.slow
@pytest.mark.parametrize("portable", [True, "auto"])
def test_inherited_settings_are_overwritten_before_the_libraries_read_them(
    tmp_path: Path, portable: Any
) -> None:
    values = run_command(tmp_path, portable, **INHERITED)
    removed = dict.fromkeys(instruction_sets.REMOVED_VARIABLES)
    assert values["variables"] == {**instruction_sets.VARIABLES, **removed}
    assert values["capability"] == "AVX2"
    assert values["numpy"] == ["X86_V3"]
    assert values["machine"] == "x86_64 portable"
    assert values["words"] == ["two words", "-", "文"]


@pytest.mark.slow
def test_without_portable_inherited_settings_remain(tmp_path: Path) -> None:
    values = run_command(tmp_path, False, **INHERITED)
    names = [*instruction_sets.VARIABLES, *instruction_sets.REMOVED_VARIABLES]
    assert values["variables"] == {name: INHERITED.get(name) for name in names}
    assert values["capability"] == "DEFAULT"
    assert values["machine"] == machine.read_machine_class(is_portable=False)["cpu"]


def test_auto_is_portable_only_where_the_cpu_has_the_instructions(cpu: dict[str, str]) -> None:
    assert [instruction_sets.is_portable(value) for value in (True, "auto", False)] == [
        True, True, False,
    ]  # fmt: skip
    cpu["flags"] = V3_FLAGS.replace("avx2 ", "")
    assert not any(instruction_sets.is_portable(value) for value in (True, "auto", False))


def test_auto_says_in_one_line_that_a_cpu_lacks_the_instructions(
    cpu: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("compute: {threads: 2, portable: auto}\n")
    instruction_sets.report_native_kernels(file)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    instruction_sets.report_native_kernels(file)
    assert capsys.readouterr().err == (
        "compute.portable: auto leaves the instruction sets to this CPU, so bytes differ from "
        "other machines: it needs an x86-64 CPU with AVX2 and FMA, and this one is arm64\n"
    )


@pytest.mark.parametrize(
    ("text", "portable"),
    [
        ("compute: {portable: true, threads: 2}", True),
        ("compute: {portable: auto}", True),
        ("compute: {portable: false}", False),
        ("compute: {threads: 2}", False),
        ("compute: {portable: yes}", False),  # a mistake, which the check of params reports
        ("seed: 7", False),
        ("compute: {", False),
    ],
)
def test_the_setting_is_read_from_params_yaml(tmp_path: Path, text: str, portable: bool) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    assert instruction_sets.read_portable(file) is portable
    assert instruction_sets.read_portable(tmp_path / "missing.yaml") is False


def test_all_portable_cpus_are_one_machine_class(cpu: dict[str, str]) -> None:
    first = machine.read_machine_class(is_portable=True)
    assert machine.read_machine_class(is_portable=False)["cpu"] == "x86_64 GenuineIntel avx2"
    cpu.update(vendor_id="AuthenticAMD", flags=f"{V3_FLAGS} avx512f")
    assert machine.read_machine_class(is_portable=True) == first
    assert machine.read_machine_class(is_portable=False)["cpu"] == (
        "x86_64 AuthenticAMD avx2 avx512f"
    )
