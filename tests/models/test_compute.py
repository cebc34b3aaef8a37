"""What the machine is asked for, and what it is said to lack."""

import subprocess
import sys

import pytest
import torch

from lockstep.models import compute
from tests.conftest import REPOSITORY


def test_bf16_is_said_to_be_slow_where_the_cpu_lacks_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(REPOSITORY)  # runtime.device stands in params.yaml
    compute.warn_about_slow_bf16("train.precision", "bf16")
    compute.warn_about_slow_bf16("starter.precision", "fp32")
    able = torch.cpu.get_capabilities()
    lacking = able["architecture"] == "x86_64" and not able["avx512_bf16"]
    slow = lacking and not torch.cuda.is_available()
    said = capsys.readouterr().err
    assert ("train.precision: bf16 is slow on this CPU" in said) == slow
    assert "starter" not in said


def test_kernels_are_deterministic_and_no_compiler_is_loaded():
    """Which takes seconds of each stage's start."""
    code = (
        "import sys, torch; from lockstep.models import compute;"
        "compute.set_up_torch(compute.ComputeParams(threads=1, attention='eager'), 7);"
        "print(torch.are_deterministic_algorithms_enabled(), 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True False\n"
