"""Read what the stages wrote: summaries, the training log, and the predictions of all variants."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep import predictions
from lockstep.errors import UserError
from lockstep.predictions import VARIANTS, Prediction

VariantPredictions = Mapping[str, Sequence[Prediction]]
"""Variant -> its predictions, on the same records in the same order."""

SUMMARIES = {
    "prepared": "card.json",
    "augmented": "card.json",
    "trained": "summary.json",
    "merged": "merge.json",
    "quantized": "quantize.json",
}
"""Folder of a stage's output in data/ -> the summary in it."""


def read_summaries(data: Path) -> dict[str, dict[str, Any]]:
    """Return {folder: summary} of the stages before predict."""
    return {folder: read_json(data / folder / name) for folder, name in SUMMARIES.items()}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raise UserError if it is missing or has a number that is not finite."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro`") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}; run `dvc repro`") from None
    for name, number in _numbers(values):
        _check_finite(path, name, number)
    return values


def read_log(path: Path) -> list[dict[str, float | None]]:
    """Read step, loss and validation loss of the training log; None where one was not measured."""
    if not path.is_file():
        raise UserError(f"{path}: not found; run `dvc repro`")
    rows = []
    with path.open(encoding="utf-8", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            names = ("step", "loss", "validation_loss")
            values = {name: float(row[name]) if row[name] else None for name in names}
            for name, number in values.items():
                _check_finite(Path(f"{path}:{line}"), name, number or 0.0)
            rows.append(values)
    return rows


def read_predictions(predicted: Path) -> dict[str, list[Prediction]]:
    """Read the predictions of all variants on the test records, in one order.

    Raise UserError if the variants did not answer the same records in the same forms.
    """
    by_id: dict[str, dict[str, Prediction]] = {}
    for variant in VARIANTS:
        rows = predictions.read(predicted / variant / "predictions.jsonl")
        by_id[variant] = {row.id: row for row in rows}
        if len(by_id[variant]) < len(rows):
            raise UserError(
                f"{predicted / variant}: predictions.jsonl has a record twice; run `dvc repro`"
            )
    merged = by_id["merged"]
    for variant, answered in by_id.items():
        if answered.keys() != merged.keys():
            raise UserError(
                f"{predicted / variant}: other test records than in merged; run `dvc repro`"
            )
        for row in answered.values():
            if row.answer_form != merged[row.id].answer_form:
                raise UserError(
                    f"{predicted / variant}: task {row.task} has {row.answer_form or 'no'} "
                    f"answers, but {merged[row.id].answer_form or 'no'} answers in merged; run "
                    "`dvc repro`"
                )
    return {variant: [rows[key] for key in merged] for variant, rows in by_id.items()}


def read_extra_predictions(predicted: Path, name: str) -> dict[str, list[Prediction]]:
    """Read another file of predictions of all variants: perturbed.jsonl or splits.jsonl."""
    return {variant: predictions.read(predicted / variant / name) for variant in VARIANTS}


def _numbers(values: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield (dotted path, number) for every float in a JSON value."""
    if isinstance(values, float):
        yield path, values
    elif isinstance(values, dict):
        for name, value in values.items():
            yield from _numbers(value, f"{path}.{name}" if path else name)
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _numbers(value, f"{path}.{index}")


def _check_finite(path: Path, name: str, number: float) -> None:
    if not math.isfinite(number):
        raise UserError(
            f"{path}: {name} is {number}, which no report can compare; "
            "see whether training diverged, lower train.learning_rate"
        )
