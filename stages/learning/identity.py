"""What determines a run of training, to the last bit."""

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages import outputs
from stages.compute import Launch
from stages.machine import machine_class

LIBRARIES = ("accelerate", "bitsandbytes", "peft", "tokenizers", "torch", "transformers", "trl")
CODE = ("learning", "compression", "scoring", "*.py")
"""Below stages/: all that training imports, and the modules of other stages beside it."""
OTHERS = (
    "agreements",
    "augment",
    "base",
    "cli",
    "evaluate",
    "merge",
    "prepare",
    "quantize",
    "report",
)


def key(inputs: Iterable[Path], parameters: dict[str, Any], device: str, launch: Launch) -> str:
    """16 hex digits over inputs, parameters, code, libraries and machine."""
    parts = {
        "inputs": [outputs.digest(path) for path in inputs],
        "parameters": parameters,
        "code": {str(file.name): outputs.digest(file) for file in code()},
        "libraries": {name: version(name) for name in LIBRARIES},
        "machine": [machine_class(), device, launch.world, launch.strategy],
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code() -> list[Path]:
    """The modules whose text can change a result of training."""
    stages = Path(__file__).parents[1]
    files = {file for part in CODE for file in _modules(stages, part)}
    return sorted(
        file
        for file in files
        if file.relative_to(stages).as_posix() not in {f"{name}.py" for name in OTHERS}
    )


def _modules(stages: Path, part: str) -> Iterable[Path]:
    return stages.glob(part) if part.endswith(".py") else (stages / part).glob("*.py")
