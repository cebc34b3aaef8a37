"""Registry of metrics: the metrics of each answer form, by name.

Values equal those of the libraries that define the metrics; the tests compare them. To add a
metric, add it to METRICS and to metric_display.DISPLAYS.
"""

import math
from collections.abc import Sequence

import numpy as np

from lockstep.data import json_schemas
from lockstep.data.json_schemas import Schema
from lockstep.metrics import (
    classification,
    entities,
    json_answers,
    refusals,
    roc_auc,
    scores,
    text_overlap,
    tool_calls,
)
from lockstep.metrics.aggregation import (
    InfluenceMetric,
    JointMetric,
    Metric,
    Numbers,
    ShareMetric,
    SumMetric,
    divide_sums,
    make_mean_metric,
    make_share_metric,
)
from lockstep.metrics.classification import (
    f1,
    macro_average,
    micro_average,
    precision,
    recall,
)
from lockstep.metrics.rules import checking
from lockstep.metrics.scores import Score
from lockstep.predictions import Prediction
from lockstep.suites import AnswerForm


def count_fields(predictions: Sequence[Prediction]) -> Numbers:
    """Count (correct, reference, predicted) values of JSON answers, (records, 3)."""

    def count(row: Prediction) -> tuple[int, int, int]:
        expected = json_answers.count_leaves(row.reference)
        predicted = json_answers.count_leaves(row.prediction)
        return (expected & predicted).total(), expected.total(), predicted.total()

    return np.array([count(row) for row in predictions], dtype=float)


def field_f1(sums: Numbers) -> Numbers:
    """Return the F1 of JSON values over all records (micro-average)."""
    return f1(sums[..., 0], sums[..., 1], sums[..., 2])


def compute_margins(predictions: Sequence[Prediction]) -> Numbers:
    """Return (score of the chosen answer minus score of the rejected one, 1), (records, 2)."""
    return np.array(
        [(row.option_scores["chosen"] - row.option_scores["rejected"], 1.0) for row in predictions]
    )


def compute_errors(predictions: Sequence[Prediction]) -> Numbers:
    """Return (squared error, absolute error, reference, its square, 1) of numbers, (records, 5).

    A prediction that is not a number adds 0 to every sum, so the metrics cover numbers only.
    """
    return np.array([_compute_error(row) for row in predictions])


def _compute_error(row: Prediction) -> tuple[float, float, float, float, float]:
    if not scores.is_number(row.prediction):
        return 0.0, 0.0, 0.0, 0.0, 0.0
    reference, prediction = float(row.reference), float(row.prediction)
    error = reference - prediction
    return error**2, abs(error), reference, reference**2, 1.0


def mean_squared_error(sums: Numbers) -> Numbers:
    """Return the mean squared error from the sums of `compute_errors`."""
    return divide_sums(sums[..., [0, 4]])


def mean_absolute_error(sums: Numbers) -> Numbers:
    """Return the mean absolute error from the sums of `compute_errors`."""
    return divide_sums(sums[..., [1, 4]])


def r2(sums: Numbers) -> Numbers:
    """Return the coefficient of determination from the sums of `compute_errors`.

    As in scikit-learn, it is 1 minus the sum of squared errors divided by the sum of squared
    deviations of the references from their mean. It is NaN if all references are equal.
    """
    squared_error, reference, square, count = (sums[..., column] for column in (0, 2, 3, 4))
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = square - reference**2 / count
        is_defined = deviation > 1e-12 * square
        return np.asarray(np.where(is_defined, 1 - squared_error / deviation, np.nan))


def collect_losses(predictions: Sequence[Prediction]) -> Numbers:
    """Return (loss of the reference in nats, its tokens, its bytes in UTF-8), (records, 3)."""
    return np.array([(row.loss, row.tokens, len(row.reference.encode())) for row in predictions])


def perplexity(sums: Numbers) -> Numbers:
    """Return exp of the mean loss per reference token."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(divide_sums(sums)))


def bits_per_byte(sums: Numbers) -> Numbers:
    """Return the loss in bits per byte of the references.

    Unlike perplexity, it can be compared between tokenizers.
    """
    return divide_sums(sums[..., [0, 2]]) / math.log(2)


_LABELS: dict[str, Metric] = {
    "accuracy": make_share_metric(scores.exact_match),
    "macro_f1": SumMetric(classification.count_labels, macro_average(f1)),
    "macro_precision": SumMetric(classification.count_labels, macro_average(precision)),
    "macro_recall": SumMetric(classification.count_labels, macro_average(recall)),
    "weighted_f1": SumMetric(classification.count_labels, classification.weighted_f1),
    "roc_auc": InfluenceMetric(roc_auc.tabulate_probabilities, roc_auc.measure_roc_auc),
    "calibration_error": SumMetric(
        classification.bin_confidences, classification.calibration_error
    ),
}
_WRITTEN_LABELS: dict[str, Metric] = {
    "accuracy": make_share_metric(classification.label_match),
    "macro_f1": SumMetric(
        classification.count_written_labels, macro_average(f1, references_only=True)
    ),
    "macro_precision": SumMetric(
        classification.count_written_labels, macro_average(precision, references_only=True)
    ),
    "macro_recall": SumMetric(
        classification.count_written_labels, macro_average(recall, references_only=True)
    ),
    "weighted_f1": SumMetric(classification.count_written_labels, classification.weighted_f1),
}
_NUMBERS: dict[str, Metric] = {
    "mean_squared_error": SumMetric(compute_errors, mean_squared_error),
    "mean_absolute_error": SumMetric(compute_errors, mean_absolute_error),
    "r2": SumMetric(compute_errors, r2),
}
METRICS: dict[str, dict[str, Metric]] = {
    "choice": _LABELS,
    "written_label": _WRITTEN_LABELS,
    "written_number": {**_NUMBERS, "valid": make_share_metric(scores.valid_number)},
    "json": {
        "exact_match": make_share_metric(scores.json_match),
        "valid": make_share_metric(scores.valid_json),
        "field_f1": SumMetric(count_fields, field_f1),
        **entities.METRICS,
    },
    "calls": {
        "exact_match": make_share_metric(tool_calls.call_match),
        "call_decision_accuracy": make_share_metric(tool_calls.call_decision_match),
        "valid": ShareMetric(tool_calls.count_readable_calls, divide_sums),
        "schema_valid": ShareMetric(tool_calls.count_schema_matches, divide_sums),
        "name_accuracy": ShareMetric(tool_calls.count_name_matches, divide_sums),
        "argument_f1": SumMetric(tool_calls.count_arguments, tool_calls.argument_f1),
    },
    "text": {
        "rouge_l": make_mean_metric(scores.rouge_l),
        "rouge_1": make_mean_metric(scores.rouge_1),
        "rouge_2": make_mean_metric(scores.rouge_2),
        "bleu": SumMetric(text_overlap.count_bleu_ngrams, text_overlap.bleu),
        "chrf": SumMetric(text_overlap.count_chrf_ngrams, text_overlap.chrf),
        "meteor": make_mean_metric(scores.meteor),
        "token_f1": make_mean_metric(scores.token_f1),
        "exact_match": make_share_metric(scores.exact_match),
        "length_ratio": SumMetric(text_overlap.count_words, divide_sums),
        "distinct_2": JointMetric(text_overlap.distinct_2),
        **entities.METRICS,
    },
    "preference": {
        "accuracy": make_share_metric(scores.exact_match),
        "margin": SumMetric(compute_margins, divide_sums),
    },
    "refusal": {
        "accuracy": make_share_metric(refusals.refusal_match),
        "unsafe_refused": ShareMetric(refusals.count_unsafe_refused, divide_sums),
        "safe_answered": ShareMetric(refusals.count_safe_answered, divide_sums),
    },
    "rules": {
        "all_followed": make_share_metric(checking.all_followed),
        "rules_followed": SumMetric(checking.count_rules, divide_sums),
        "all_followed_loose": make_share_metric(checking.all_followed_loosely),
        "rules_followed_loose": SumMetric(checking.count_rules_loosely, divide_sums),
    },
    "label": _LABELS,
    "labels": {
        "exact_match": make_share_metric(scores.json_match),
        "micro_f1": SumMetric(classification.count_label_sets, micro_average(f1)),
        "macro_f1": SumMetric(classification.count_label_sets, macro_average(f1)),
    },
    "number": _NUMBERS,
}
"""Answer form -> name -> metric."""

DEFAULT_METRICS: dict[AnswerForm, tuple[str, ...]] = {
    "choice": ("accuracy", "macro_f1", "roc_auc", "calibration_error"),
    "written_label": ("accuracy", "macro_f1"),
    "written_number": ("mean_absolute_error", "r2", "valid"),
    "json": ("exact_match", "field_f1", "valid"),
    "calls": (
        "exact_match",
        "name_accuracy",
        "argument_f1",
        "call_decision_accuracy",
        "schema_valid",
    ),
    "text": ("rouge_l", "chrf", "bleu", "meteor", "exact_match"),
    "preference": ("accuracy", "margin"),
    "refusal": ("accuracy", "unsafe_refused", "safe_answered"),
    "rules": ("all_followed", "rules_followed"),
    "label": ("accuracy", "macro_f1", "roc_auc", "calibration_error"),
    "labels": ("macro_f1", "micro_f1", "exact_match"),
    "number": ("mean_absolute_error", "r2"),
}
"""Answer form -> metrics of a suite for which evaluate.metrics names none."""

SCORES: dict[AnswerForm, Score] = {
    "choice": scores.exact_match,
    "written_label": classification.label_match,
    "written_number": scores.closeness,
    "json": scores.json_match,
    "calls": tool_calls.call_match,
    "text": scores.rouge_l,
    "preference": scores.exact_match,
    "refusal": refusals.refusal_match,
    "rules": checking.all_followed,
    "label": scores.exact_match,
    "labels": scores.json_match,
    "number": scores.closeness,
}
"""Answer form -> score of a single answer, from 0 to 1."""

LIKELIHOOD_METRICS: dict[str, Metric] = {
    "perplexity": SumMetric(collect_losses, perplexity),
    "bits_per_byte": SumMetric(collect_losses, bits_per_byte),
}
"""Metrics of the likelihood that a generative model gives to all references."""


def get_metrics(form: AnswerForm, schema: Schema | None = None) -> dict[str, Metric]:
    """Return all metrics of an answer form by name; a JSON Schema adds `schema_valid`."""
    if schema is None:
        return METRICS[form]
    return METRICS[form] | {"schema_valid": make_share_metric(_make_schema_score(schema))}


def _make_schema_score(schema: Schema) -> Score:
    """Return the score that is 1 for an answer that is JSON and matches the schema."""

    def score(reference: str, prediction: str) -> float:
        value = json_answers.parse_json(prediction)
        return float(
            value is not json_answers.INVALID and json_schemas.matches_schema(value, schema)
        )

    return score
