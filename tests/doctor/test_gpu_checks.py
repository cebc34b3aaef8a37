"""The doctor says why a GPU is not used: its driver, the build of torch, or neither."""

import os
from pathlib import Path

import pytest

from lockstep.doctor import gpu_checks
from lockstep.doctor.gpu_checks import Driver, Torch

HEADER = """\
Tue Mar  4 10:01:42 2025
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|-----------------------------------------+------------------------+----------------------+
"""
"""Head of the output of nvidia-smi, as NVIDIA's documentation shows it."""


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of nvidia-smi, which prints what the real one would."""
    (tmp_path / "header").write_text(HEADER)
    program = tmp_path / "nvidia-smi"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in\n--query-gpu=name) echo "NVIDIA L4" ;;\n'
        f"*) cat {tmp_path}/header ;;\nesac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return program


def test_driver_and_gpus_are_read(nvidia_smi: Path):
    assert gpu_checks.read_driver() == Driver(("NVIDIA L4",), "550.54.15", "12.4")


def test_a_driver_that_fails_is_none(nvidia_smi: Path):
    nvidia_smi.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    assert gpu_checks.read_driver() is None


def test_without_nvidia_smi_there_is_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_checks.read_driver() is None


DRIVER = Driver(("NVIDIA L4",), "550.54.15", "12.4")


@pytest.mark.parametrize(
    ("driver", "torch", "has_device", "level", "words"),
    [
        (DRIVER, Torch("2.13.0", "12.4", True, ""), True, "ok", "NVIDIA L4, driver 550.54.15"),
        (None, Torch("2.13.0+cpu", None, False, ""), False, "ok", "no NVIDIA GPU"),
        (None, Torch("2.13.0", "13.0", False, ""), True, "warning", "nvidia-smi does not answer"),
        (DRIVER, Torch("2.13.0+cpu", None, False, ""), True, "warning", "built without CUDA"),
        (DRIVER, Torch("2.13.0", "13.0", False, ""), True, "warning", "supports CUDA 12.4"),
        (DRIVER, Torch("2.13.0", "12.8", False, "hidden"), True, "warning", "hidden"),
    ],
    ids=["used", "no GPU", "no driver", "CPU build", "old driver", "another reason"],
)
def test_each_state_of_driver_and_torch(
    driver: Driver | None, torch: Torch, has_device: bool, level: str, words: str
):
    """Drivers run builds for newer minor versions of their CUDA, but not for the next major one."""
    finding = gpu_checks.judge_gpu(driver, torch, has_device)
    assert finding.level == level
    assert words in finding.message
    assert bool(finding.remedy) == (level != "ok")


@pytest.mark.parametrize(("number", "has_device"), [("0x030200", True), ("0x040300", False)])
def test_a_gpu_without_a_driver_is_found_on_the_bus(tmp_path: Path, number: str, has_device: bool):
    """The second device is the sound output that every graphics card has."""
    (tmp_path / "0000:00:1e.0").mkdir()
    (tmp_path / "0000:00:1e.0/vendor").write_text("0x10de\n")
    (tmp_path / "0000:00:1e.0/class").write_text(f"{number}\n")
    assert gpu_checks.has_nvidia_device(tmp_path) == has_device


def test_a_torch_that_does_not_load_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "torch.py").write_text("raise OSError('libcudnn.so.9: cannot open shared object')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (finding,) = gpu_checks.check_gpu(tmp_path)
    assert (finding.level, finding.subject) == ("error", "torch")
    assert "OSError: libcudnn.so.9: cannot open" in finding.message
