"""The figures of a variant, from its predictions alone: over all records and by slice."""

import math
from collections.abc import Sequence
from typing import Any

from stages.scoring import likelihood
from stages.scoring.metrics import METRICS
from stages.scoring.predictions import Prediction
from stages.scoring.suites import Evaluate, Suite


def of(predictions: Sequence[Prediction], chosen: Evaluate) -> dict[str, Any]:
    """{task: figures of its suite}, and the perplexity of a model that writes."""
    result: dict[str, Any] = {}
    for suite in chosen.suites:
        rows = [row for row in predictions if row.task == suite.task]
        result[suite.task] = _suite(rows, suite, chosen.slices)
    losses = [(row.loss, row.tokens) for row in predictions if row.loss is not None]
    if losses:
        result["perplexity"] = likelihood.perplexity(losses)
        result["unscored"] = sum(not tokens for _, tokens in losses)
    return result


def confusion(rows: Sequence[Prediction]) -> dict[str, dict[str, int]]:
    """expected label -> chosen label -> count, without zeros."""
    table: dict[str, dict[str, int]] = {}
    for want, have in sorted((row.expected, row.got) for row in rows):
        row = table.setdefault(want, {})
        row[have] = row.get(have, 0) + 1
    return table


def _suite(rows: Sequence[Prediction], suite: Suite, slices: Sequence[str]) -> dict[str, Any]:
    result: dict[str, Any] = {"records": len(rows), "overall": _figures(rows, suite), "slices": {}}
    for name in slices:
        for value in sorted({row.slices[name] for row in rows if name in row.slices}):
            part = [row for row in rows if row.slices.get(name) == value]
            own = {"records": len(part), **_figures(part, suite)}
            result["slices"].setdefault(name, {})[value] = own
    if suite.answer in ("choice", "label"):
        result["confusion"] = confusion(rows)
    return result


def _figures(rows: Sequence[Prediction], suite: Suite) -> dict[str, float]:
    """Those that are defined for these records."""
    found = {name: METRICS[suite.answer][name].figure(rows) for name in suite.metrics}
    return {name: value for name, value in found.items() if math.isfinite(value)}
