"""Read the outputs of earlier stages: summaries, the training log, predictions of all variants."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep import predictions
from lockstep.errors import UserError
from lockstep.predictions import VARIANTS, Prediction
from lockstep.statistics.evidence import Sizes

VariantPredictions = Mapping[str, Sequence[Prediction]]
"""Variant -> its predictions, on the same records in the same order."""

SUMMARIES = {
    "prepared": "card.json",
    "augmented": "card.json",
    "trained": "summary.json",
    "merged": "merge.json",
    "quantized": "quantize.json",
}
"""Folder in data/ that a stage wrote -> name of the summary in it."""


def read_summaries(data: Path) -> dict[str, dict[str, Any]]:
    """Return {folder: summary} of the stages before predict."""
    return {folder: read_json(data / folder / name) for folder, name in SUMMARIES.items()}


def get_sizes(quantized: Mapping[str, Any]) -> Sizes:
    """Return the sizes of the weights from the summary of quantize."""
    before, after = quantized["bytes_before"], quantized["bytes_after"]
    return {
        "merged": {"bytes": before, "ratio": 1.0},
        "quantized": {"bytes": after, "ratio": after / before},
    }


def select_run_facts(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what `make review` compares beside metrics: sizes of the data, and training."""
    prepared = summaries["prepared"]
    counts = ("records", "tasks", "slices", "sources")
    splits = {
        split: {name: values[name] for name in counts if name in values}
        for split, values in prepared["splits"].items()
    }
    data = {"rows": prepared["rows"], "labels": prepared["labels"], "splits": splits}
    return {"data": data, "training": dict(summaries["trained"])}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raise UserError if it is missing or has a number that is not finite."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run `dvc repro`") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}; run `dvc repro`") from None
    for name, number in _iterate_numbers(values):
        _check_finite(path, name, number)
    return values


def read_log(path: Path) -> list[dict[str, float | None]]:
    """Read the training log; None where nothing was measured.

    Raise UserError if the log is missing or has a step or loss that is not finite.
    """
    if not path.is_file():
        raise UserError(f"{path}: not found; run `dvc repro`")
    rows = []
    with path.open(encoding="utf-8", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            values = {name: float(value) if value else None for name, value in row.items()}
            for name in ("step", "loss", "validation_loss"):
                _check_finite(Path(f"{path}:{line}"), name, values[name] or 0.0)
            rows.append(values)
    return rows


def read_predictions(predicted: Path) -> dict[str, list[Prediction]]:
    """Read the predictions of all variants on the test records, all in the order of merged.

    Raise UserError if the variants did not answer the same records in the same forms.
    """
    merged = _read_by_id(predicted / "merged")
    result: dict[str, list[Prediction]] = {}
    for variant in VARIANTS:
        by_id = merged if variant == "merged" else _read_by_id(predicted / variant)
        _check_same_records(predicted / variant, by_id, merged)
        result[variant] = [by_id[key] for key in merged]
    return result


def read_extra_predictions(predicted: Path, name: str) -> dict[str, list[Prediction]]:
    """Read `perturbed.jsonl` or `splits.jsonl` of all variants; the records may differ."""
    return {variant: predictions.read(predicted / variant / name) for variant in VARIANTS}


def _read_by_id(folder: Path) -> dict[str, Prediction]:
    rows = predictions.read(folder / "predictions.jsonl")
    by_id = {row.id: row for row in rows}
    if len(by_id) < len(rows):
        raise UserError(f"{folder}: predictions.jsonl has a record twice; run `dvc repro`")
    return by_id


def _check_same_records(
    folder: Path, by_id: Mapping[str, Prediction], merged: Mapping[str, Prediction]
) -> None:
    """Raise UserError if a variant's records or answer forms differ from those of merged."""
    if by_id.keys() != merged.keys():
        raise UserError(f"{folder}: the test records differ from those of merged; run `dvc repro`")
    for key, row in by_id.items():
        if row.answer_form != merged[key].answer_form:
            raise UserError(
                f"{folder}: task {row.task} has {row.answer_form or 'no'} answers, but "
                f"{merged[key].answer_form or 'no'} answers in merged; run `dvc repro`"
            )


def _iterate_numbers(values: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield (dotted path, number) for every float in a JSON value."""
    if isinstance(values, float):
        yield path, values
    elif isinstance(values, dict):
        for name, value in values.items():
            yield from _iterate_numbers(value, f"{path}.{name}" if path else name)
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _iterate_numbers(value, f"{path}.{index}")


def _check_finite(path: Path, name: str, number: float) -> None:
    if not math.isfinite(number):
        raise UserError(
            f"{path}: {name} is {number}, not a finite number; check whether training diverged, "
            "and lower train.learning_rate"
        )
