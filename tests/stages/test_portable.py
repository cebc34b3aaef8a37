"""With compute.portable, stages write the same bytes whatever kernels the environment asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.models import instruction_sets

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not instruction_sets.has_required_instructions(), reason="needs an x86-64 CPU with AVX2"
    ),
]

OLD_CPU = {
    "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3",
}  # fmt: skip
TRAIN = ("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json")
QUANTIZE = ("quantize", "base", "prepared/validation.jsonl")
PREDICT = ("predict", "quantized", "prepared", "tasks")


def test_bytes_of_stages_do_not_depend_on_inherited_settings(
    workspace: Path,
    run_stage: Callable[..., Any],
    read_folder: Callable[[Path], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(arguments: tuple[str, ...], out: str, *, portable: bool) -> dict[str, bytes]:
        result = run_stage(*arguments, out, changes={"compute.portable": portable})
        assert result.returncode == 0, result.stderr
        return read_folder(workspace / out)

    stages = {"trained": TRAIN, "quantized": QUANTIZE, "predicted": PREDICT}
    first = {out: run(stages[out], out, portable=True) for out in stages}
    for variable, value in OLD_CPU.items():
        monkeypatch.setenv(variable, value)
    for out, arguments in stages.items():
        assert run(arguments, f"{out}-again", portable=True) == first[out], out
    native = run(TRAIN, "trained-native", portable=False)
    assert native.keys() == first["trained"].keys() and native != first["trained"]
