"""Check the version of Python, and the installed packages against constraints.txt."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from lockstep.doctor.finding import ERROR, OK, WARNING, Finding, list_names

INSTALL = "run `make -B setup`"
"""Remedy for packages; -B because the files that `setup` depends on may be older than .venv."""


def check_python(root: Path) -> Iterator[Finding]:
    """Yield whether this Python is as new as pyproject.toml demands."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r'^requires-python = ">=([\d.]+)"', text, re.MULTILINE)
    version = ".".join(map(str, sys.version_info[:3]))
    if needed and sys.version_info < tuple(map(int, needed[1].split("."))):
        message = f"{version}, but {needed[1]} or newer is needed ({sys.executable})"
        remedy = f"install it, remove .venv, and run `make PYTHON=python{needed[1]}`"
        yield Finding(ERROR, "python", message, remedy)
    else:
        yield Finding(OK, "python", f"{version} ({sys.executable})")


def check_packages(root: Path) -> Iterator[Finding]:
    """Yield packages that are missing, and those whose version is not that of constraints.txt."""
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = read_pins(root / "constraints.txt")
    versions = {name: read_version(name) for name in pins}
    missing = find_missing(project["dependencies"])
    if missing:
        yield Finding(ERROR, "packages", f"not installed: {list_names(missing)}", INSTALL)
    unneeded = find_missing(project["optional-dependencies"]["dev"])
    if unneeded:
        message = f"not installed, so `make test` and `make lint` fail: {list_names(unneeded)}"
        yield Finding(WARNING, "packages", message, INSTALL)
    other = [
        f"{name} {version} instead of {pins[name]}"
        for name, version in versions.items()
        if version and version.partition("+")[0] != pins[name]  # torch 2.13.0+cpu is 2.13.0
    ]
    if other:
        message = f"not the version of constraints.txt: {list_names(other)}"
        yield Finding(WARNING, "packages", f"{message}; results may differ", INSTALL)
    if not (missing or unneeded or other):
        yield Finding(OK, "packages", "the versions of constraints.txt")


def read_pins(file: Path) -> dict[str, str]:
    """Map the packages in a file of constraints to their versions."""
    lines = file.read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line)
    return {name.strip(): version.strip() for name, version in pins}


def find_missing(requirements: list[str]) -> list[str]:
    """Return the required packages that are not installed."""
    names = (re.split(r"[=<>!~;\[ ]", requirement)[0] for requirement in requirements)
    return [name for name in names if read_version(name) is None]


def read_version(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
