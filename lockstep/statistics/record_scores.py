"""reports/scores.jsonl: what each test record adds to the metrics, in a small file for git.

With it, two commits are compared record by record without DVC's cache (`make review`). A line with
the metrics and columns of a suite comes before its records, one line each: `[id, value, …]`. Suites
of labels have the labels themselves, by their place in `texts`. Other suites have the score of each
answer and the summands of their metrics (metrics/aggregation). A metric whose summands are more
than MAX_COLUMNS, or that needs the scores of all options, is left out.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lockstep import outputs
from lockstep.metrics.aggregation import Metric, Numbers, ShareMetric, SumMetric
from lockstep.metrics.classification import replace_other_texts
from lockstep.metrics.registry import LIKELIHOOD_METRICS, SCORES, get_metrics
from lockstep.metrics.suite_metrics import (
    PERPLEXITY,
    MeasuredSuite,
    PredictionGroup,
    group_by_suite,
)
from lockstep.predictions import VARIANTS, Prediction
from lockstep.statistics.stage_results import VariantPredictions

MAX_BYTES = 1_000_000
"""Maximum size of the file; larger scores are left out, with a line that says so."""
MAX_COLUMNS = 5
"""Maximum number of summands of a metric that is stored."""
LABEL_FORMS = ("choice", "label", "labels", "written_label")
"""Answer forms whose references and predictions are stored as labels."""
NEED_OPTIONS = ("roc_auc", "calibration_error")
"""Metrics of labels that need the scores of all options."""

Columns = dict[str, list[Any]]
"""Name of a column -> its value for each record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRecord(Prediction):
    """A test record as it is stored: without texts, except labels."""

    score: float = 0.0
    """Score of the answer, from 0 to 1."""
    summands: dict[str, list[float]] = field(default_factory=dict)
    """Metric -> the summands of this record."""


class StoredSuite(NamedTuple):
    """A suite, or the group of all likelihoods, with the records of each variant."""

    form: str
    """Answer form; "" for the group of all likelihoods."""
    metrics: dict[str, Metric]
    records: dict[str, list[ScoredRecord]]
    """Variant -> its records, all in the same order."""


class StoredScores(NamedTuple):
    """The content of scores.jsonl."""

    suites: dict[str, StoredSuite]
    omitted: str
    """Reason why there are no scores; "" if there are."""


def write_scores(
    path: Path, predictions: VariantPredictions, suites: Sequence[MeasuredSuite]
) -> None:
    """Write the scores of all variants, or the reason if they would take over MAX_BYTES."""
    text = "".join(f"{_dump(line)}\n" for line in format_scores(predictions, suites))
    size = len(text.encode())
    if size > MAX_BYTES:
        reason = f"the scores take {size:,} bytes, more than the limit of {MAX_BYTES:,}"
        text = f"{_dump({'omitted': reason})}\n"
    with outputs.atomic_file(path) as partial_file:
        partial_file.write_text(text, encoding="utf-8", newline="\n")


def format_scores(
    predictions: VariantPredictions, suites: Sequence[MeasuredSuite]
) -> Iterator[Any]:
    """Yield the lines of the file as JSON values: a header for each suite, then its records."""
    forms: dict[str, str] = {suite.task: suite.form for suite in suites}
    scores = {suite.task: suite.score for suite in suites}
    groups: dict[str, dict[str, PredictionGroup]] = {}
    for variant in VARIANTS:
        for group in group_by_suite(predictions[variant], suites):
            groups.setdefault(group.task, {})[variant] = group
    for task, by_variant in sorted(groups.items()):
        form = forms.get(task, "")
        if form in LABEL_FORMS:
            header, columns = _tabulate_labels(form, by_variant)
        else:
            header, columns = _tabulate_summands(by_variant, scores.get(task))
        ids = [row.id for row in next(iter(by_variant.values())).predictions]
        constants = {
            name: values[0]
            for name, values in columns.items()
            if values.count(values[0]) == len(ids)
        }
        names = [name for name in columns if name not in constants]
        yield {"task": task, "form": form, **header, "columns": names, "constants": constants}
        rows = zip(ids, *(columns[name] for name in names), strict=True)
        yield from (list(row) for row in sorted(rows, key=lambda row: str(row[0])))


def read_scores(text: str) -> StoredScores:
    """Return the content of scores.jsonl; raise ValueError if it is damaged."""
    suites: dict[str, tuple[dict[str, Any], list[list[Any]]]] = {}
    rows: list[list[Any]] = []
    for line in text.splitlines():
        value = json.loads(line)
        if isinstance(value, list):
            rows.append(value)
        elif "omitted" in value:
            return StoredScores({}, value["omitted"])
        else:
            rows = []
            suites[value["task"]] = (value, rows)
    return StoredScores({task: _parse_suite(*stored) for task, stored in suites.items()}, "")


def _tabulate_labels(
    form: str, by_variant: Mapping[str, PredictionGroup]
) -> tuple[dict[str, Any], Columns]:
    """Return the header and columns of a suite of labels."""
    rows = {
        variant: replace_other_texts(group.predictions)
        if form == "written_label"
        else list(group.predictions)
        for variant, group in by_variant.items()
    }
    labels = {text for part in rows.values() for row in part for text in _list_labels(row)}
    texts = {text: place for place, text in enumerate(sorted(labels))}
    first = next(iter(by_variant))
    columns: Columns = {"reference": [texts[row.reference] for row in rows[first]]}
    for variant, part in rows.items():
        columns[f"{variant} prediction"] = [texts[row.prediction] for row in part]
    names = [name for name in by_variant[first].metrics if name not in NEED_OPTIONS]
    return {"metrics": names, "variants": [*rows], "texts": [*texts]}, columns


def _list_labels(row: Prediction) -> tuple[str, str]:
    return row.reference, row.prediction


def _tabulate_summands(
    by_variant: Mapping[str, PredictionGroup], score: Callable[[Prediction], float] | None
) -> tuple[dict[str, Any], Columns]:
    """Return the header and columns of a suite that is stored by its summands."""
    first = next(iter(by_variant))
    ids = [row.id for row in by_variant[first].predictions]
    metrics: dict[str, list[str]] = {}
    columns: Columns = {}
    variants = [
        variant
        for variant, group in by_variant.items()
        if [row.id for row in group.predictions] == ids
    ]
    for variant in variants:
        group = by_variant[variant]
        if score is not None:
            columns[f"{variant} score"] = [_shorten(score(row)) for row in group.predictions]
        metrics = {}
        for shared in _group_by_summands(group.metrics):
            for place, column in enumerate(_compute_columns(shared[0], group)):
                metrics[shared[0]] = shared
                columns[f"{variant} {shared[0]} {place}"] = [_shorten(v) for v in column]
    return {"metrics": metrics, "variants": variants}, columns


def _group_by_summands(metrics: Mapping[str, Metric]) -> list[list[str]]:
    """Return the names of metrics that are functions of sums, together if they share the sums."""
    groups: dict[Any, list[str]] = {}
    for name, metric in metrics.items():
        if isinstance(metric, SumMetric):
            groups.setdefault(metric.summands, []).append(name)
    return [*groups.values()]


def _compute_columns(name: str, group: PredictionGroup) -> list[list[float]]:
    """Return the summands of a metric by column; [] if they are more than MAX_COLUMNS."""
    metric = group.metrics[name]
    if not isinstance(metric, SumMetric):
        return []
    for part in group.predictions[:1], group.predictions:  # n-grams of all records take seconds
        matrix = metric.summands(part)
        if matrix.shape[1] > MAX_COLUMNS:
            return []
    columns: list[list[float]] = matrix.T.tolist()
    return columns


def _parse_suite(header: dict[str, Any], rows: Sequence[list[Any]]) -> StoredSuite:
    names = ["id", *header["columns"]]
    records = [header["constants"] | dict(zip(names, row, strict=True)) for row in rows]
    form = header["form"]
    is_label = form in LABEL_FORMS
    metrics = _list_label_metrics(header) if is_label else _list_stored_metrics(header)
    parse = _parse_label if is_label else _parse_summands
    return StoredSuite(
        form,
        metrics,
        {
            variant: [parse(header, values, variant) for values in records]
            for variant in header["variants"]
        },
    )


def _list_label_metrics(header: dict[str, Any]) -> dict[str, Metric]:
    known = get_metrics(header["form"])
    return {name: known[name] for name in header["metrics"] if name in known}


def _list_stored_metrics(header: dict[str, Any]) -> dict[str, Metric]:
    """Return the metrics that are known here, as functions of stored summands."""
    is_likelihood = header["task"] == PERPLEXITY
    known = LIKELIHOOD_METRICS if is_likelihood else get_metrics(header["form"], {})
    metrics: dict[str, Metric] = {}
    for name in itertools.chain.from_iterable(header["metrics"].values()):
        metric = known.get(name)
        if isinstance(metric, SumMetric):
            kind = ShareMetric if isinstance(metric, ShareMetric) else SumMetric
            metrics[name] = kind(partial(_get_summands, name), metric.from_sums)
    return metrics


def _get_summands(metric: str, records: Sequence[Prediction]) -> Numbers:
    return np.array([r.summands[metric] for r in records if isinstance(r, ScoredRecord)])


def _parse_label(header: dict[str, Any], values: dict[str, Any], variant: str) -> ScoredRecord:
    texts = header["texts"]
    reference, prediction = texts[values["reference"]], texts[values[f"{variant} prediction"]]
    return ScoredRecord(
        **_build_base(header, values),
        reference=reference,
        prediction=prediction,
        score=SCORES[header["form"]](reference, prediction),
    )


def _parse_summands(header: dict[str, Any], values: dict[str, Any], variant: str) -> ScoredRecord:
    summands: dict[str, list[float]] = {}
    for shared, names in header["metrics"].items():
        row: list[float] = []
        while (column := f"{variant} {shared} {len(row)}") in values:
            row.append(values[column])
        summands |= dict.fromkeys(names, row)
    return ScoredRecord(
        **_build_base(header, values),
        reference="",
        score=values.get(f"{variant} score", 0.0),
        summands=summands,
    )


def _build_base(header: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": values["id"], "task": header["task"], "answer_form": header["form"],
        "slices": {}, "question": "", "prompt": "",
    }  # fmt: skip


def _shorten(value: float) -> float | int:
    """Round to five significant digits; whole numbers become integers, which are shorter."""
    rounded = float(f"{value:.5g}")
    return int(rounded) if rounded.is_integer() else rounded


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
