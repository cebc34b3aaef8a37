"""The doctor reports full disks, missing libraries and a missing browser."""

from pathlib import Path

import pytest

from lockstep.doctor import machine_checks


def test_a_disk_without_space_is_an_error():
    """The file system /proc has no free byte."""
    finding = machine_checks.judge_space("disk", Path("/proc"), 0)
    assert finding.level == "error"
    assert finding.message == "0.0 GB free at /proc"
    assert "free space" in finding.remedy


def test_a_base_whose_outputs_do_not_fit_is_a_warning(tmp_path: Path):
    """The weights are sparse files that take no space."""
    (tmp_path / "data/base").mkdir(parents=True)
    for number in range(4):
        with (tmp_path / f"data/base/model-{number}.safetensors").open("wb") as stream:
            stream.truncate(10**12)
    finding = next(machine_checks.check_disk(tmp_path))
    assert finding.level == "warning"
    assert "the outputs of this base take about 16,000.0 GB" in finding.message


def test_a_disk_with_space_is_ok(tmp_path: Path):
    finding = machine_checks.judge_space("disk", tmp_path, 0)
    assert finding.level == "ok"


@pytest.mark.parametrize(("is_needed", "level"), [(False, "warning"), (True, "error")])
def test_a_missing_library_is_an_error_if_params_need_it(is_needed: bool, level: str):
    finding = machine_checks.judge_library("libnosuchlibrary.so.1", is_needed)
    assert finding.level == level
    assert "libnosuchlibrary.so.1 is missing" in finding.message


@pytest.mark.parametrize(
    ("method", "is_needed"), [("gguf_q8_0", True), ("nf4", False)], ids=["gguf", "nf4"]
)
def test_llama_cpp_is_needed_for_gguf_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, is_needed: bool
):
    (tmp_path / "params.yaml").write_text(f"quantize:\n  method: {method}  # or nf4\n")
    monkeypatch.setattr(machine_checks, "OPENMP", "libnosuchlibrary.so.1")
    (finding,) = machine_checks.check_openmp(tmp_path)
    assert finding.level == ("error" if is_needed else "warning")


def test_a_missing_browser_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = machine_checks.check_browser(tmp_path)
    assert finding.level == "warning"
    assert "apt-get install chromium" in finding.remedy


def test_a_browser_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "google-chrome").write_text("#!/bin/sh\n")
    (tmp_path / "google-chrome").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = machine_checks.check_browser(tmp_path)
    assert (finding.level, finding.message) == ("ok", str(tmp_path / "google-chrome"))
