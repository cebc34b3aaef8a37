"""Compute the metrics of a variant from its predictions: overall and by slice."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.errors import UserError
from lockstep.metrics import classification
from lockstep.metrics.aggregation import Metric
from lockstep.metrics.json_schemas import Schema
from lockstep.metrics.registry import DEFAULT_METRICS, LIKELIHOOD_METRICS, SCORES, metrics_of
from lockstep.predictions import PARENT, PERTURBATION, SPLIT, Prediction
from lockstep.suites import GENERATED_FORMS, AnswerForm

PERPLEXITY = "perplexity"
"""Name that stands for all records whose reference has a likelihood, beside the suites."""
OWN_SLICES = (PARENT, PERTURBATION, SPLIT)
"""Slices by which no metric is broken down: they link predictions to each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSuite:
    """A suite with the metrics that are computed for it, the main one first."""

    task: str
    form: AnswerForm
    metrics: Mapping[str, Metric]

    def score(self, prediction: Prediction) -> float:
        """Return how good a single answer is, from 0 to 1."""
        return SCORES[self.form](prediction.reference, prediction.prediction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Predictions that are measured together, with their metrics."""

    task: str
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Metric]

    def by_slice(self, name: str) -> dict[str, list[Prediction]]:
        """Return the predictions of each value of a slice, values sorted."""
        groups: dict[str, list[Prediction]] = {}
        for row in self.predictions:
            if name in row.slices:
                groups.setdefault(row.slices[name], []).append(row)
        return dict(sorted(groups.items()))

    def compute(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Compute the metrics that are defined for these predictions."""
        values = {name: metric.figure(predictions) for name, metric in self.metrics.items()}
        return {name: value for name, value in values.items() if math.isfinite(value)}


def measured_suites(
    predictions: Sequence[Prediction],
    metrics: Mapping[str, Sequence[str]],
    schemas: Mapping[str, Schema],
) -> list[MeasuredSuite]:
    """Return the suites that a variant answered, with the metrics of each.

    `metrics` are the names by task; a task that it lacks has the default metrics of its answer
    form. `schemas` are JSON Schemas by task, which add the metric `schema_valid`. Raise UserError
    for a task or metric that does not exist.
    """
    forms: dict[str, Any] = {row.task: row.answer_form for row in predictions if row.answer_form}
    for key, named in (("metrics", metrics), ("json_schemas", schemas)):
        for task in named:
            if task not in forms:
                raise UserError(
                    f"params.yaml: evaluate.{key}: no suite has task {task}; the suites are "
                    f"{', '.join(forms) or 'none'}"
                )
    return [
        _measured_suite(task, form, metrics.get(task), schemas.get(task))
        for task, form in forms.items()
    ]


def _measured_suite(
    task: str, form: AnswerForm, names: Sequence[str] | None, schema: Schema | None
) -> MeasuredSuite:
    if schema is not None and form != "json":
        raise UserError(
            f"params.yaml: evaluate.json_schemas: task {task} has {form} answers; a schema needs "
            "json answers"
        )
    known = metrics_of(form, schema)
    wanted = names or (*DEFAULT_METRICS[form], *(["schema_valid"] if schema else []))
    if unknown := [name for name in wanted if name not in known]:
        hint = " (schema_valid needs evaluate.json_schemas)" if "schema_valid" in unknown else ""
        raise UserError(
            f"params.yaml: evaluate.metrics: {task}: {', '.join(unknown)} is no metric of {form} "
            f"answers{hint}; known: {', '.join(known)}"
        )
    return MeasuredSuite(task=task, form=form, metrics={name: known[name] for name in wanted})


def slice_names(predictions: Sequence[Prediction]) -> list[str]:
    """Return the names of all slices that the predictions have, sorted."""
    names = {name for row in predictions for name in row.slices}
    return sorted(names - {*OWN_SLICES})


def group_by_suite(
    predictions: Sequence[Prediction], suites: Sequence[MeasuredSuite]
) -> list[Group]:
    """Return a group for each suite, and one for all references with a likelihood."""
    groups = [
        Group(
            task=suite.task,
            predictions=[row for row in predictions if row.task == suite.task and row.answer_form],
            metrics=suite.metrics,
        )
        for suite in suites
    ]
    groups = [group for group in groups if group.predictions]
    likely = [row for row in predictions if row.loss is not None and row.tokens]
    if likely:
        groups.append(Group(task=PERPLEXITY, predictions=likely, metrics=LIKELIHOOD_METRICS))
    return groups


def compute_metrics(
    predictions: Sequence[Prediction], suites: Sequence[MeasuredSuite], slices: Sequence[str]
) -> dict[str, Any]:
    """Return {task: metrics of the suite}, plus perplexity and bits per byte of all references.

    A suite has `records`, `overall` {metric: value}, `slices` {slice: {value: {records, metrics}}};
    generated answers also `truncated`, their number that reached max_new_tokens; labels also
    `confusion` {reference: {prediction: count}}.
    """
    result: dict[str, Any] = {}
    forms = {suite.task: suite.form for suite in suites}
    for group in group_by_suite(predictions, suites):
        if group.task == PERPLEXITY:
            continue
        form = forms[group.task]
        result[group.task] = _suite_metrics(group, slices)
        if form in GENERATED_FORMS:
            result[group.task]["truncated"] = sum(row.truncated for row in group.predictions)
        if form in ("choice", "label"):
            result[group.task]["confusion"] = confusion(group.predictions)
        if form == "written_label":
            as_labels = classification.as_labels(group.predictions)
            result[group.task]["confusion"] = confusion(as_labels)
    likely = [row for row in predictions if row.loss is not None and row.tokens]
    for name, metric in LIKELIHOOD_METRICS.items():
        value = metric.figure(likely) if likely else math.nan
        result |= {name: value} if math.isfinite(value) else {}
    return result


def confusion(predictions: Sequence[Prediction]) -> dict[str, dict[str, int]]:
    """Count predictions by label: {reference: {prediction: count}}, without zeros."""
    table: dict[str, dict[str, int]] = {}
    pairs = sorted((row.reference, row.prediction) for row in predictions)
    for reference, prediction in pairs:
        row = table.setdefault(reference, {})
        row[prediction] = row.get(prediction, 0) + 1
    return table


def _suite_metrics(group: Group, slices: Sequence[str]) -> dict[str, Any]:
    by_slice = {
        name: {
            value: {"records": len(rows), **group.compute(rows)}
            for value, rows in group.by_slice(name).items()
        }
        for name in slices
    }
    return {
        "records": len(group.predictions),
        "overall": group.compute(group.predictions),
        "slices": {name: values for name, values in by_slice.items() if values},
    }
