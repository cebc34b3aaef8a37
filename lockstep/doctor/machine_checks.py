"""Check the disk, the system libraries and the browser of this machine."""

from __future__ import annotations

import ctypes
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lockstep.doctor.finding import ERROR, OK, WARNING, Finding

SMALLEST_SPACE = 10**9
"""Free bytes below which a run of even a tiny model may fail."""

OUTPUTS_PER_BASE = 4
"""Size of a run's outputs divided by that of the base: a copy of the base, the trained, the merged
and the quantized model."""

OPENMP = "libgomp.so.1"
"""Library of the system that llama.cpp needs."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Names of the commands that start a browser which tests can drive."""


def check_disk(root: Path) -> Iterator[Finding]:
    """Yield whether the disks of the repository and of temporary files have room for a run."""
    base = sum(file.stat().st_size for file in (root / "data/base").glob("*.safetensors"))
    yield judge_space("disk", root, base * OUTPUTS_PER_BASE)
    temporary = Path(tempfile.gettempdir())
    if temporary.stat().st_dev != root.stat().st_dev:
        yield judge_space("temporary", temporary, 0)


def judge_space(subject: str, folder: Path, needed: int) -> Finding:
    """Return whether the disk of a folder has the needed bytes free."""
    free = shutil.disk_usage(folder).free
    message = f"{free / 1e9:,.1f} GB free at {folder}"
    if free < SMALLEST_SPACE:
        return Finding(ERROR, subject, message, "free space; `make clean` removes the outputs")
    if free < needed:
        message = f"{message}; the outputs of this base take about {needed / 1e9:,.1f} GB"
        return Finding(WARNING, subject, message, "free space, or move the clone to another disk")
    return Finding(OK, subject, message)


def check_openmp(root: Path) -> Iterator[Finding]:
    """Yield whether llama.cpp can start."""
    if sys.platform == "linux":
        params = (root / "params.yaml").read_text(encoding="utf-8")
        is_needed = bool(re.search(r"^\s+method: *gguf", params, re.MULTILINE))
        yield judge_library(OPENMP, is_needed)


def judge_library(name: str, is_needed: bool) -> Finding:
    """Return whether the system has a library; a missing one is an error if params need it."""
    try:
        ctypes.CDLL(name)
    except OSError:
        message = f"{name} is missing, so llama.cpp cannot answer with GGUF files"
        remedy = "run `apt-get install libgomp1` or your system's command for it"
        return Finding(ERROR if is_needed else WARNING, "llama.cpp", message, remedy)
    return Finding(OK, "llama.cpp", f"{name} is there")


def check_browser(root: Path) -> Iterator[Finding]:
    """Yield whether the tests of the report page find a browser."""
    browser = find_browser()
    if browser:
        yield Finding(OK, "browser", browser)
    else:
        message = "none found, so the tests of the report page are skipped"
        yield Finding(WARNING, "browser", message, "install Chromium (apt-get install chromium)")


def find_browser() -> str | None:
    """Return the path of a browser that tests can drive; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)
