"""Compute the key under which an interrupted stage stores its unfinished work."""

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lockstep import outputs
from lockstep.models.machine import read_machine_class

REPOSITORY = Path(__file__).parents[1]
CODE_PREFIXES = ("lockstep/", "stages/")
"""Prefixes of the dependencies in dvc.yaml that are code."""


def compute_resume_key(
    stage: str,
    inputs: Iterable[Path],
    parameters: dict[str, Any],
    libraries: Iterable[str],
    runtime: Any,
) -> str:
    """Return 16 hex digits: a hash of inputs, parameters, code, libraries and the machine class.

    `stage` names the entry of dvc.yaml that declares the code. `libraries` are the distributions
    whose version can change the result; one that is not installed has the version None.
    `runtime` is anything else that can change the result, for example the device.
    """
    parts = {
        "inputs": [outputs.hash_path(path) for path in inputs],
        "parameters": parameters,
        "code": [outputs.hash_path(file) for file in list_declared_code(stage)],
        "libraries": {name: _read_version(name) for name in libraries},
        "machine": [read_machine_class(), runtime],
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def list_declared_code(stage: str) -> list[Path]:
    """Return the source files that dvc.yaml declares for a stage, sorted."""
    pipeline = YAML(typ="safe", pure=True).load(REPOSITORY / "dvc.yaml")
    paths = [
        REPOSITORY / dep
        for dep in pipeline["stages"][stage]["deps"]
        if dep.startswith(CODE_PREFIXES)
    ]
    groups = [[path] if path.is_file() else path.rglob("*.py") for path in paths]
    return sorted({file for group in groups for file in group})


def _read_version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
