"""The key under which an interrupted stage keeps its work: all that determines the result."""

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
CODE = ("lockstep/", "stages/")
"""Beginnings of the dependencies in dvc.yaml that are code."""


def resume_key(
    stage: str,
    inputs: Iterable[Path],
    parameters: dict[str, Any],
    libraries: Iterable[str],
    runtime: Any,
) -> str:
    """Return 16 hex digits over inputs, parameters, code, library versions and the machine class.

    `stage` names the entry of dvc.yaml whose declared code counts. `libraries` are the
    distributions whose version can change the result; one that is not installed counts as None.
    `runtime` is whatever else determines the bits, e.g. the device.
    """
    parts = {
        "inputs": [outputs.hash_path(path) for path in inputs],
        "parameters": parameters,
        "code": [outputs.hash_path(file) for file in declared_code(stage)],
        "libraries": {name: _version(name) for name in libraries},
        "machine": [read_machine_class(), runtime],
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def declared_code(stage: str) -> list[Path]:
    """Return the source files that dvc.yaml declares for a stage, sorted."""
    pipeline = YAML(typ="safe", pure=True).load(REPOSITORY / "dvc.yaml")
    paths = [REPOSITORY / dep for dep in pipeline["stages"][stage]["deps"] if dep.startswith(CODE)]
    files = [[path] if path.is_file() else path.rglob("*.py") for path in paths]
    return sorted({file for group in files for file in group})


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
