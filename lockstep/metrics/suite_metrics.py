"""The figures of a variant, from its predictions alone: over all records and by slice."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.inference import likelihood
from lockstep.metrics import classification
from lockstep.metrics.registry import LIKELIHOOD, Metric
from lockstep.metrics.suites import WRITTEN, Suite
from lockstep.predictions import Prediction
from lockstep.statistics import robustness

OVERALL = "perplexity"
"""What the records of all suites are called where their likelihood is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Records that are measured together, and by what."""

    task: str
    rows: Sequence[Prediction]
    metrics: Mapping[str, Metric]

    def by_slice(self, name: str) -> dict[str, list[Prediction]]:
        """The records of each value of a slice; those without it are in none."""
        values = sorted({row.slices[name] for row in self.rows if name in row.slices})
        return {
            value: [row for row in self.rows if row.slices.get(name) == value] for value in values
        }

    def figures(self, rows: Sequence[Prediction]) -> dict[str, float]:
        """Those that are defined for these records."""
        found = {name: metric.figure(rows) for name, metric in self.metrics.items()}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def measured(predictions: Sequence[Prediction], suites: Sequence[Suite]) -> list[Part]:
    """The records of each suite, and all whose answer's likelihood is known."""
    parts = [
        Part(
            task=suite.task,
            rows=[row for row in predictions if row.task == suite.task],
            metrics=suite.figures,
        )
        for suite in suites
    ]
    parts = [part for part in parts if part.rows]
    likely = [row for row in predictions if row.loss is not None and row.tokens]
    return [*parts, Part(task=OVERALL, rows=likely, metrics=LIKELIHOOD)] if likely else parts


def of(
    predictions: Sequence[Prediction],
    suites: Sequence[Suite],
    slices: Sequence[str],
    varied: Sequence[Prediction] = (),
) -> dict[str, Any]:
    """{task: figures of its suite}, and how likely a model that writes finds the answers.

    `varied` are the answers to records put otherwise.
    """
    result: dict[str, Any] = {}
    kinds = {suite.task: suite.answer for suite in suites}
    for part in measured(predictions, suites):
        if part.task == OVERALL:
            continue
        result[part.task] = _suite(part, slices)
        others = [row for row in varied if row.task == part.task]
        if others:
            both = [*part.rows, *others]
            result[part.task]["stability"] = robustness.figures(both, kinds[part.task])
        if kinds[part.task] in WRITTEN:
            result[part.task]["truncated"] = sum(row.truncated for row in part.rows)
        if kinds[part.task] in ("choice", "label"):
            result[part.task]["confusion"] = confusion(part.rows)
        if kinds[part.task] == "written_label":
            result[part.task]["confusion"] = confusion(classification.as_labels(part.rows))
    losses = [(row.loss, row.tokens) for row in predictions if row.loss is not None]
    if losses:
        result[OVERALL] = likelihood.compute_perplexity(losses)
        scored = [row for row in predictions if row.tokens]
        bits = LIKELIHOOD["bits_per_byte"].figure(scored)
        result |= {"bits_per_byte": bits} if math.isfinite(bits) else {}
    return result


def confusion(rows: Sequence[Prediction]) -> dict[str, dict[str, int]]:
    """expected label -> chosen label -> count, without zeros."""
    table: dict[str, dict[str, int]] = {}
    for want, have in sorted((row.reference, row.prediction) for row in rows):
        row = table.setdefault(want, {})
        row[have] = row.get(have, 0) + 1
    return table


def _suite(part: Part, slices: Sequence[str]) -> dict[str, Any]:
    by_slice = {
        name: {
            value: {"records": len(rows), **part.figures(rows)}
            for value, rows in part.by_slice(name).items()
        }
        for name in slices
    }
    return {
        "records": len(part.rows),
        "overall": part.figures(part.rows),
        "slices": {name: values for name, values in by_slice.items() if values},
    }
