"""Describe the head of a model that classifies, predicts a number or scores answers."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

HEAD_FILE = "head.json"
"""File beside the weights or the adapter of a model with a head; it describes the head."""


@dataclass(frozen=True, slots=True)
class Head:
    """The classification, regression or reward head of a model."""

    problem: Literal["single_label_classification", "multi_label_classification", "regression"]
    """Kind of head, as transformers names it in `problem_type`."""
    labels: list[str]
    """Labels of a classification, in the order of the head's outputs; empty for one number."""


def read_head(folder: Path) -> Head | None:
    """Read the description of a model's head; None for a causal language model."""
    path = folder / HEAD_FILE
    return Head(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write_head(head: Head, folder: Path) -> None:
    """Write the description of a model's head into its folder."""
    text = json.dumps(asdict(head), ensure_ascii=False, indent=2, sort_keys=True)
    (folder / HEAD_FILE).write_text(text + "\n", encoding="utf-8")
