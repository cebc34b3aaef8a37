"""What the stages measured, read back and joined by record."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep import predictions
from lockstep.errors import UserError

VARIANTS = ("base", "merged", "quantized")
STEPS = {"tuning": ("base", "merged"), "quantization": ("merged", "quantized")}
"""What the pipeline does to a model, from which variant to which."""

Figures = dict[str, Any]
Answers = Mapping[str, Sequence[predictions.Prediction]]
"""What each variant answered to the test records, in one order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A test record that a suite covers, and what each variant answered."""

    id: str
    task: str
    slices: dict[str, str]
    question: str
    reference: str
    prediction: dict[str, str]
    scores: dict[str, float]
    """How right each answer is, 0 to 1: right or wrong, or ROUGE-L for free text."""


def read_json(path: Path) -> Figures:
    """The object in a file; UserError where it is missing or holds a number that is not finite."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro` makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}; `dvc repro` makes it anew") from None
    for name, number in _numbers(values):
        _refuse_infinite(path, name, number)
    return values


def read_log(path: Path) -> list[dict[str, float | None]]:
    """The training log: step, loss and validation loss, None where not measured at that step."""
    if not path.is_file():
        raise UserError(f"{path}: not found; `dvc repro` makes it")
    rows = []
    with path.open(encoding="utf-8", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            names = ("step", "loss", "validation_loss")
            values = {name: float(row[name]) if row[name] else None for name in names}
            for name, number in values.items():
                _refuse_infinite(Path(f"{path}:{line}"), name, number or 0.0)
            rows.append(values)
    return rows


def read_variants(evaluated: Path) -> dict[str, Figures]:
    """Each variant's figures; lm-eval's accuracy stands among the other overall ones."""
    variants = {name: read_json(evaluated / name / "metrics.json") for name in VARIANTS}
    for variant in variants.values():
        for suite in suites(variant).values():
            if "lm_eval" in suite:
                suite["overall"]["lm_eval_accuracy"] = suite.pop("lm_eval")
    tasks = {name: set(suites(variant)) for name, variant in variants.items()}
    for name, own in tasks.items():
        if own != tasks["merged"]:
            odd = ", ".join(sorted(own ^ tasks["merged"]))
            raise UserError(f"{evaluated / name}: other suites than merged: {odd}; `dvc repro`")
    return variants


def read_answers(evaluated: Path) -> Answers:
    """What all variants answered; UserError where they were not asked the same records."""
    found = {name: predictions.read(evaluated / name / "predictions.jsonl") for name in VARIANTS}
    answers = {name: {row.id: row for row in rows} for name, rows in found.items()}
    for name, rows in answers.items():
        if len(rows) < len(found[name]):
            raise UserError(
                f"{evaluated / name}: predictions.jsonl has a record twice; `dvc repro`"
            )
        if rows.keys() != answers["merged"].keys():
            raise UserError(f"{evaluated / name}: other test records than in merged; `dvc repro`")
    return {name: [rows[key] for key in answers["merged"]] for name, rows in answers.items()}


def read_fits(evaluated: Path) -> Answers:
    """What all variants answered to some records of other splits."""
    return {name: predictions.read(evaluated / name / "fit.jsonl") for name in VARIANTS}


def joined(answers: Answers) -> list[Prediction]:
    """The test records that a suite covers, each with the answers of all variants."""
    return [
        Prediction(
            id=rows[0].id,
            task=rows[0].task,
            slices=rows[0].slices,
            question=rows[0].question,
            reference=rows[0].reference,
            prediction={name: row.prediction for name, row in zip(answers, rows, strict=True)},
            scores={name: row.score or 0.0 for name, row in zip(answers, rows, strict=True)},
        )
        for rows in zip(*answers.values(), strict=True)
        if rows[0].score is not None
    ]


def suites(variant: Figures) -> dict[str, Figures]:
    """The suites of a variant's figures: choices first, which lead the report, then by name."""
    found = {
        task: value
        for task, value in variant.items()
        if isinstance(value, dict) and "overall" in value
    }
    return dict(sorted(found.items(), key=lambda item: ("confusion" not in item[1], item[0])))


def _numbers(values: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """(dotted path, number) for every float below."""
    if isinstance(values, float):
        yield path, values
    elif isinstance(values, dict):
        for name, value in values.items():
            yield from _numbers(value, f"{path}.{name}" if path else name)
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _numbers(value, f"{path}.{index}")


def _refuse_infinite(path: Path, name: str, number: float) -> None:
    if not math.isfinite(number):
        raise UserError(
            f"{path}: {name} is {number}, and no report can compare that; "
            "see whether training diverged, lower train.learning_rate"
        )
