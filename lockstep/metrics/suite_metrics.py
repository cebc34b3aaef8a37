"""Compute the metrics of a variant from its predictions, overall and by slice."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lockstep.data.json_schemas import Schema
from lockstep.errors import UserError
from lockstep.metrics import classification, entities
from lockstep.metrics.aggregation import Metric, Table
from lockstep.metrics.registry import DEFAULT_METRICS, LIKELIHOOD_METRICS, SCORES, get_metrics
from lockstep.predictions import LINKING_SLICES, ZERO_SHOT, Prediction
from lockstep.suites import GENERATED_FORMS, AnswerForm

PERPLEXITY = "perplexity"
"""Name of the group of all records whose reference has a likelihood, beside the suites."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSuite:
    """A suite with the metrics that are computed for it, the main metric first."""

    task: str
    form: AnswerForm
    metrics: Mapping[str, Metric]

    def score(self, prediction: Prediction) -> float:
        """Return the score of a single answer, from 0 to 1."""
        return SCORES[self.form](prediction.reference, prediction.prediction)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionGroup:
    """Predictions that are measured together, with their metrics."""

    task: str
    predictions: Sequence[Prediction]
    metrics: Mapping[str, Metric]

    def find_slices(self, name: str) -> dict[str, list[int]]:
        """Return {value of the slice: positions of its predictions}, sorted by value."""
        positions: dict[str, list[int]] = {}
        for position, row in enumerate(self.predictions):
            if name in row.slices:
                positions.setdefault(row.slices[name], []).append(position)
        return dict(sorted(positions.items()))

    def tabulate(self) -> dict[str, Table]:
        """Return {metric: what it needs of each prediction}."""
        return {name: metric.tabulate(self.predictions) for name, metric in self.metrics.items()}

    def compute(self, tables: Mapping[str, Table]) -> dict[str, float]:
        """Return the metrics that are defined for the records of the tables."""
        values = {name: metric.compute_table(tables[name]) for name, metric in self.metrics.items()}
        return {name: value for name, value in values.items() if math.isfinite(value)}


def select_records(tables: Mapping[str, Table], positions: Sequence[int]) -> dict[str, Table]:
    """Return the rows of the tables at these positions."""
    return {name: table[positions] for name, table in tables.items()}


def build_measured_suites(
    predictions: Sequence[Prediction],
    metrics: Mapping[str, Sequence[str]],
    schemas: Mapping[str, Schema],
) -> list[MeasuredSuite]:
    """Return the suites that the predictions belong to, with the metrics of each.

    `metrics` are names of metrics by task; other tasks have the default metrics of their answer
    form. `schemas` are JSON Schemas by task, which add the metric `schema_valid`. A few-shot suite
    has what its task has, unless it is named itself. Raise UserError for a task without a suite
    and for a metric that the answer form does not have.
    """
    forms: dict[str, Any] = {row.task: row.answer_form for row in predictions if row.answer_form}
    for key, by_task in (("metrics", metrics), ("json_schemas", schemas)):
        for task in by_task:
            if task not in forms:
                raise UserError(
                    f"params.yaml: evaluate.{key}: no suite has task {task}; the suites are "
                    f"{', '.join(forms) or 'none'}"
                )
    zero_shot = map_few_shot(predictions)
    return [
        _build_suite(
            task,
            form,
            metrics.get(task) or metrics.get(zero_shot.get(task, task)),
            schemas.get(task) or schemas.get(zero_shot.get(task, task)),
        )
        for task, form in forms.items()
    ]


def map_few_shot(predictions: Sequence[Prediction]) -> dict[str, str]:
    """Return {few-shot suite: task of the same records without examples}."""
    tasks = {row.id: row.task for row in predictions}
    return {
        row.task: tasks[row.slices[ZERO_SHOT]]
        for row in predictions
        if row.slices.get(ZERO_SHOT) in tasks
    }


def _build_suite(
    task: str, form: AnswerForm, names: Sequence[str] | None, schema: Schema | None
) -> MeasuredSuite:
    if schema is not None and form != "json":
        raise UserError(
            f"params.yaml: evaluate.json_schemas: task {task} has {form} answers; a schema needs "
            "json answers"
        )
    metrics = get_metrics(form, schema)
    names = names or (*DEFAULT_METRICS[form], *(["schema_valid"] if schema is not None else []))
    if unknown := [name for name in names if name not in metrics]:
        hint = " (schema_valid needs evaluate.json_schemas)" if "schema_valid" in unknown else ""
        raise UserError(
            f"params.yaml: evaluate.metrics: {task}: {', '.join(unknown)} is no metric of {form} "
            f"answers{hint}; known: {', '.join(metrics)}"
        )
    return MeasuredSuite(task=task, form=form, metrics={name: metrics[name] for name in names})


def list_slices(predictions: Sequence[Prediction]) -> list[str]:
    """Return the names of all slices that metrics can be broken down by, sorted."""
    names = {name for row in predictions for name in row.slices}
    return sorted(names - {*LINKING_SLICES})


def group_by_suite(
    predictions: Sequence[Prediction], suites: Sequence[MeasuredSuite]
) -> list[PredictionGroup]:
    """Return a group for each suite with predictions, plus one for perplexity.

    The group for perplexity has all predictions whose reference has a likelihood, of any task.
    """
    groups = [
        PredictionGroup(
            task=suite.task,
            predictions=[row for row in predictions if row.task == suite.task and row.answer_form],
            metrics=suite.metrics,
        )
        for suite in suites
    ]
    groups = [group for group in groups if group.predictions]
    if with_likelihood := _select_with_likelihood(predictions):
        groups.append(
            PredictionGroup(
                task=PERPLEXITY, predictions=with_likelihood, metrics=LIKELIHOOD_METRICS
            )
        )
    return groups


def compute_metrics(
    predictions: Sequence[Prediction], suites: Sequence[MeasuredSuite], slices: Sequence[str]
) -> dict[str, Any]:
    """Return {task: metrics of the suite}, plus perplexity and bits per byte of all references.

    Each suite has `records`, `overall` {metric: value} and `slices` {slice: {value: {records and
    metrics}}}. Suites of generated answers also have `truncated`, the number of answers that
    reached max_new_tokens, and if the model reasons `reasoning_tokens`, the mean number of tokens
    of its reasoning. Suites of labels also have `confusion` {reference: {prediction: count}}, and
    suites with metrics of entities the `entities` {type: numbers}.
    """
    result: dict[str, Any] = {}
    forms = {suite.task: suite.form for suite in suites}
    for group in group_by_suite(predictions, suites):
        if group.task == PERPLEXITY:
            continue
        form = forms[group.task]
        result[group.task] = _compute_suite_metrics(group, slices)
        if form in GENERATED_FORMS:
            result[group.task]["truncated"] = sum(row.truncated for row in group.predictions)
            if any(row.reasoning_tokens for row in group.predictions):
                lengths = [row.reasoning_tokens for row in group.predictions]
                result[group.task]["reasoning_tokens"] = fmean(lengths)
        if not entities.METRICS.keys().isdisjoint(group.metrics):
            result[group.task]["entities"] = entities.summarize_types(group.predictions)
        if form in ("choice", "label"):
            result[group.task]["confusion"] = count_confusions(group.predictions)
        if form == "written_label":
            labels = classification.replace_other_texts(group.predictions)
            result[group.task]["confusion"] = count_confusions(labels)
    with_likelihood = _select_with_likelihood(predictions)
    for name, metric in LIKELIHOOD_METRICS.items():
        value = metric.compute(with_likelihood) if with_likelihood else math.nan
        if math.isfinite(value):
            result[name] = value
    return result


def count_confusions(predictions: Sequence[Prediction]) -> dict[str, dict[str, int]]:
    """Return the confusion matrix {reference: {prediction: count}}, without zeros."""
    table: dict[str, dict[str, int]] = {}
    pairs = sorted((row.reference, row.prediction) for row in predictions)
    for reference, prediction in pairs:
        row = table.setdefault(reference, {})
        row[prediction] = row.get(prediction, 0) + 1
    return table


def _select_with_likelihood(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the predictions whose reference has a likelihood and at least one token."""
    return [row for row in predictions if row.loss is not None and row.tokens]


def _compute_suite_metrics(group: PredictionGroup, slices: Sequence[str]) -> dict[str, Any]:
    tables = group.tabulate()
    by_slice = {
        name: {
            value: {
                "records": len(positions),
                **group.compute(select_records(tables, positions)),
            }
            for value, positions in group.find_slices(name).items()
        }
        for name in slices
    }
    return {
        "records": len(group.predictions),
        "overall": group.compute(tables),
        "slices": {name: values for name, values in by_slice.items() if values},
    }
