"""Log of a training: losses, evaluations, the best evaluation, and the file log.csv."""

import csv
from pathlib import Path
from typing import Any

from lockstep.training.train_params import EarlyStoppingParams

History = list[dict[str, Any]]
"""Log of transformers' trainer, `trainer.state.log_history`: a mapping per entry."""

COLUMNS = ("loss", "learning_rate", "grad_norm")
"""Columns of log.csv that are logged while training."""

METRICS = {
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
"""Names of an evaluation's metrics: the libraries' name -> the name in log.csv."""

LOWER_IS_BETTER = {"loss", "mean_squared_error"}


def list_evaluations(history: History) -> list[tuple[int, dict[str, float]]]:
    """Return (optimizer step, {metric: value}) for each evaluation, in order."""
    evaluations: dict[int, dict[str, float]] = {}
    for entry in history:
        for library_name, name in METRICS.items():
            if f"eval_{library_name}" in entry:
                metrics = evaluations.setdefault(entry["step"], {})
                metrics[name] = float(entry[f"eval_{library_name}"])
    return sorted(evaluations.items())


def list_losses(history: History) -> list[float]:
    """Return the training losses, in order."""
    return [entry["loss"] for entry in history if "loss" in entry]


def find_best_evaluation(history: History, early_stopping: EarlyStoppingParams) -> int:
    """Return the index of the best evaluation; -1 if there is none yet.

    A later evaluation is better only if it improves the metric by more than `min_change`.
    """
    sign = -1 if early_stopping.metric in LOWER_IS_BETTER else 1
    best, best_index = float("-inf"), -1
    for index, (_, metrics) in enumerate(list_evaluations(history)):
        value = sign * metrics[early_stopping.metric]
        if value > best + (early_stopping.min_change if best_index >= 0 else 0.0):
            best, best_index = value, index
    return best_index


def must_stop_early(history: History, early_stopping: EarlyStoppingParams) -> bool:
    """Whether the last `patience` evaluations brought no improvement.

    The log alone decides, so a resumed run decides in the same way.
    """
    if not early_stopping.patience:  # without early stopping the metric may not be measured
        return False
    last = len(list_evaluations(history)) - 1
    return last - find_best_evaluation(history, early_stopping) >= early_stopping.patience


def write_log(history: History, path: Path) -> None:
    """Write log.csv: a row for each optimizer step that was logged or evaluated."""
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        row["epoch"] = round(entry["epoch"], 4)
        row.update({name: f"{entry[name]:.6g}" for name in COLUMNS if name in entry})
    evaluations = list_evaluations(history)
    for step, metrics in evaluations:
        rows[step].update({f"validation_{name}": f"{v:.6g}" for name, v in metrics.items()})
    others = sorted({name for _, metrics in evaluations for name in metrics} - {"loss"})
    columns = ["step", "epoch", "loss", "validation_loss", "learning_rate", "grad_norm"]
    columns += [f"validation_{name}" for name in others]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[step] for step in sorted(rows))
