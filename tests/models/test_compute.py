"""Deterministic kernels, and the warning about slow bf16."""

import subprocess
import sys

import pytest
import torch

from lockstep.models import compute
from tests.conftest import REPOSITORY


def test_bf16_is_called_slow_only_on_a_cpu_without_its_instructions(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(REPOSITORY)  # select_device reads runtime.device from params.yaml
    compute.warn_about_slow_bf16("train.precision", "bf16")
    compute.warn_about_slow_bf16("starter.precision", "fp32")
    capabilities = torch.cpu.get_capabilities()
    is_emulated = capabilities["architecture"] == "x86_64" and not capabilities["avx512_bf16"]
    is_slow = is_emulated and not torch.cuda.is_available()
    warning = capsys.readouterr().err
    assert ("train.precision: bf16 is slow on this CPU" in warning) == is_slow
    assert "starter" not in warning


def test_kernels_are_deterministic_and_the_compiler_is_not_loaded():
    """Loading torch's compiler would add seconds to the start of every stage."""
    code = (
        "import sys, torch; from lockstep.models import compute;"
        "compute.set_up_torch(compute.ComputeParams(threads=1, attention='eager'), 7);"
        "print(torch.are_deterministic_algorithms_enabled(), 'torch._dynamo' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert process.stdout == "True False\n"


def test_every_setting_of_launch_has_a_default():
    runtime = compute.RuntimeParams.model_validate({"device": "cpu"})
    assert runtime.launch == compute.LaunchParams.model_validate({})
    assert runtime.launch.world_size == 1


def test_a_machine_number_beyond_the_machines_is_an_error():
    assert compute.LaunchParams(processes=4, machines=2, machine=1).world_size == 8
    with pytest.raises(ValueError, match="machine: 2 must be less than machines 2"):
        compute.LaunchParams(machines=2, machine=2)
