"""log.csv: what was measured at which optimizer step."""

import csv
from pathlib import Path
from typing import Any

History = list[dict[str, Any]]
"""The log that transformers' trainer keeps: one mapping for each line."""

COLUMNS = {"loss": "loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}
MEASURES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
    "margin": "margin",
    "reward": "reward",
    "exact_match": "exact_match",
    "rouge_l": "rouge_l",
    "mean_squared_error": "mean_squared_error",
}
"""Figures of an evaluation, as libraries name them -> as we do."""
LOWER_IS_BETTER = {"loss", "mean_squared_error"}


def evaluations(history: History) -> list[tuple[int, dict[str, float]]]:
    """(optimizer step, {measure: value}) for each evaluation, in their order."""
    found: dict[int, dict[str, float]] = {}
    for entry in history:
        for name, measure in MEASURES.items():
            if f"eval_{name}" in entry:
                found.setdefault(entry["step"], {})[measure] = float(entry[f"eval_{name}"])
    return sorted(found.items())


def losses(history: History) -> list[float]:
    """The training losses that were logged, in their order."""
    return [entry["loss"] for entry in history if "loss" in entry]


def write(history: History, path: Path) -> None:
    """A row for each optimizer step that was logged or evaluated."""
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        row["epoch"] = round(entry["epoch"], 4)
        row.update({new: f"{entry[old]:.6g}" for old, new in COLUMNS.items() if old in entry})
    measured = evaluations(history)
    for step, figures in measured:
        rows[step].update({f"validation_{name}": f"{v:.6g}" for name, v in figures.items()})
    others = sorted({name for _, figures in measured for name in figures} - {"loss"})
    columns = ["step", "epoch", "loss", "validation_loss", "learning_rate", "grad_norm"]
    columns += [f"validation_{name}" for name in others]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[step] for step in sorted(rows))
