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
CODE = (
    "learning/*.py",
    "compression/linear.py",
    "scoring/batches.py",
    "scoring/generation.py",
    "scoring/scores.py",
    "chat.py",
    "compute.py",
    "models.py",
    "outputs.py",
    "params.py",
    "prefix.py",
    "records.py",
    "train.py",
)
"""Below stages/: the modules that training imports, as dvc.yaml has them too."""


def key(inputs: Iterable[Path], parameters: dict[str, Any], device: str, launch: Launch) -> str:
    """16 hex digits over inputs, parameters, code, libraries and machine."""
    parts = {
        "inputs": [outputs.digest(path) for path in inputs],
        "parameters": parameters,
        "code": [outputs.digest(file) for file in code()],
        "libraries": {name: version(name) for name in LIBRARIES},
        "machine": [machine_class(), device, launch.world, launch.strategy],
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code() -> list[Path]:
    """The modules whose text can change a result of training."""
    stages = Path(__file__).parents[1]
    return sorted(file for pattern in CODE for file in stages.glob(pattern))
