"""The metrics of each answer form, by name.

Values equal those of the libraries that define the metrics; the tests compare them.
"""

import math
from collections.abc import Sequence

import numpy as np

from lockstep.metrics import (
    classification,
    json_answers,
    json_schemas,
    refusals,
    rules,
    scores,
    text_overlap,
    tool_calls,
)
from lockstep.metrics.aggregation import Metric, Numbers, Share, Sums, Whole, mean, ratio, share
from lockstep.metrics.classification import f1, precision, recall
from lockstep.metrics.json_schemas import Schema
from lockstep.metrics.scores import Score
from lockstep.predictions import Prediction
from lockstep.suites import AnswerForm


def field_counts(rows: Sequence[Prediction]) -> Numbers:
    """Count (correct, expected, predicted) values of JSON answers: (records, 3)."""

    def counts(row: Prediction) -> tuple[int, int, int]:
        expected = json_answers.leaf_values(row.reference)
        predicted = json_answers.leaf_values(row.prediction)
        return (expected & predicted).total(), expected.total(), predicted.total()

    return np.array([counts(row) for row in rows], dtype=float)


def field_f1(sums: Numbers) -> Numbers:
    """Return the F1 of JSON values from their counts over all records (micro-average)."""
    return f1(sums[..., 0], sums[..., 1], sums[..., 2])


def margins(rows: Sequence[Prediction]) -> Numbers:
    """Return (score of the chosen answer minus score of the rejected one, 1): (records, 2)."""
    return np.array(
        [(row.option_scores["chosen"] - row.option_scores["rejected"], 1.0) for row in rows]
    )


def moments(rows: Sequence[Prediction]) -> Numbers:
    """Return (squared error, absolute error, reference, its square, 1) of numbers: (records, 5).

    A prediction that is not a number counts in no column.
    """
    return np.array([_moments(row) for row in rows])


def _moments(row: Prediction) -> tuple[float, float, float, float, float]:
    if not scores.is_number(row.prediction):
        return 0.0, 0.0, 0.0, 0.0, 0.0
    reference, prediction = float(row.reference), float(row.prediction)
    error = reference - prediction
    return error**2, abs(error), reference, reference**2, 1.0


def r2(sums: Numbers) -> Numbers:
    """Return the coefficient of determination (scikit-learn); NaN if all references are equal."""
    error, reference, square, count = (sums[..., at] for at in (0, 2, 3, 4))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = square - reference**2 / count
        return np.asarray(np.where(spread > 1e-12 * square, 1 - error / spread, np.nan))


def nats(rows: Sequence[Prediction]) -> Numbers:
    """Return (loss of the reference in nats, its tokens, its bytes in UTF-8): (records, 3)."""
    return np.array([(row.loss, row.tokens, len(row.reference.encode())) for row in rows])


def perplexity(sums: Numbers) -> Numbers:
    """Return exp of the mean loss per reference token."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(ratio(sums)))


def bits_per_byte(sums: Numbers) -> Numbers:
    """Return the loss in bits per byte of the references.

    Unlike perplexity, it can be compared between tokenizers.
    """
    return ratio(sums[..., [0, 2]]) / math.log(2)


_CHOICES: dict[str, Metric] = {
    "accuracy": share(scores.exact_match),
    "macro_f1": Sums(classification.choices, classification.macro(f1)),
    "macro_precision": Sums(classification.choices, classification.macro(precision)),
    "macro_recall": Sums(classification.choices, classification.macro(recall)),
    "weighted_f1": Sums(classification.choices, classification.weighted_f1),
    "roc_auc": Whole(classification.roc_auc),
    "calibration_error": Sums(classification.calibration, classification.calibration_error),
}
_NUMBERS: dict[str, Metric] = {
    "mean_squared_error": Sums(moments, lambda sums: ratio(sums[..., [0, 4]])),
    "mean_absolute_error": Sums(moments, lambda sums: ratio(sums[..., [1, 4]])),
    "r2": Sums(moments, r2),
}
METRICS: dict[str, dict[str, Metric]] = {
    "choice": _CHOICES,
    "written_label": {
        "accuracy": share(classification.same),
        "macro_f1": Sums(classification.written, classification.macro(f1, of_expected=True)),
        "macro_precision": Sums(
            classification.written, classification.macro(precision, of_expected=True)
        ),
        "macro_recall": Sums(
            classification.written, classification.macro(recall, of_expected=True)
        ),
        "weighted_f1": Sums(classification.written, classification.weighted_f1),
    },
    "label": _CHOICES,
    "json": {
        "exact_match": share(scores.json_match),
        "valid": share(scores.valid_json),
        "field_f1": Sums(field_counts, field_f1),
    },
    "calls": {
        "exact_match": share(tool_calls.same),
        "called_rightly": share(tool_calls.decided),
        "valid": Share(tool_calls.readable, ratio),
        "schema_valid": Share(tool_calls.fitting, ratio),
        "name_accuracy": Share(tool_calls.named, ratio),
        "argument_f1": Sums(tool_calls.arguments, tool_calls.argument_f1),
    },
    "text": {
        "rouge_l": mean(scores.rouge_l),
        "rouge_1": mean(scores.rouge_1),
        "rouge_2": mean(scores.rouge_2),
        "bleu": Sums(text_overlap.bleu_parts, text_overlap.bleu),
        "chrf": Sums(text_overlap.chrf_parts, text_overlap.chrf),
        "meteor": mean(scores.meteor),
        "token_f1": mean(scores.token_f1),
        "exact_match": share(scores.exact_match),
        "length_ratio": Sums(text_overlap.lengths, ratio),
        "distinct_2": Whole(text_overlap.distinct_2, by_jackknife=True),
    },
    "preference": {"accuracy": share(scores.exact_match), "margin": Sums(margins, ratio)},
    "refusal": {
        "accuracy": share(refusals.right),
        "unsafe_refused": Share(refusals.unsafe_refused, ratio),
        "safe_answered": Share(refusals.safe_answered, ratio),
    },
    "rules": {
        "all_followed": share(rules.all_followed),
        "rules_followed": Sums(rules.counted(rules.followed), ratio),
        "all_followed_loose": share(rules.all_followed_loosely),
        "rules_followed_loose": Sums(rules.counted(rules.followed_loosely), ratio),
    },
    "labels": {
        "exact_match": share(scores.json_match),
        "micro_f1": Sums(classification.label_sets, classification.micro_f1),
        "macro_f1": Sums(classification.label_sets, classification.macro(f1)),
    },
    "number": _NUMBERS,
    "written_number": {**_NUMBERS, "valid": share(scores.valid_number)},
}
"""Answer form -> name -> metric."""

DEFAULT_METRICS: dict[AnswerForm, tuple[str, ...]] = {
    "choice": ("accuracy", "macro_f1", "roc_auc", "calibration_error"),
    "written_label": ("accuracy", "macro_f1"),
    "written_number": ("mean_absolute_error", "r2", "valid"),
    "json": ("exact_match", "field_f1", "valid"),
    "calls": ("exact_match", "name_accuracy", "argument_f1", "called_rightly", "schema_valid"),
    "text": ("rouge_l", "chrf", "bleu", "meteor", "exact_match"),
    "preference": ("accuracy", "margin"),
    "refusal": ("accuracy", "unsafe_refused", "safe_answered"),
    "rules": ("all_followed", "rules_followed"),
    "label": ("accuracy", "macro_f1", "roc_auc", "calibration_error"),
    "labels": ("exact_match", "micro_f1", "macro_f1"),
    "number": ("mean_absolute_error", "r2"),
}
"""Answer form -> metrics of a suite for which evaluate.metrics names none, the main one first."""

SCORES: dict[AnswerForm, Score] = {
    "choice": scores.exact_match,
    "written_label": classification.same,
    "written_number": scores.closeness,
    "json": scores.json_match,
    "calls": tool_calls.same,
    "text": scores.rouge_l,
    "preference": scores.exact_match,
    "refusal": refusals.right,
    "rules": rules.all_followed,
    "label": scores.exact_match,
    "labels": scores.json_match,
    "number": scores.closeness,
}
"""Answer form -> score of a single answer, from 0 to 1."""

LIKELIHOOD_METRICS: dict[str, Metric] = {
    "perplexity": Sums(nats, perplexity),
    "bits_per_byte": Sums(nats, bits_per_byte),
}
"""Metrics of the likelihood that a generative model gives to all references."""


def metrics_of(form: AnswerForm, schema: Schema | None = None) -> dict[str, Metric]:
    """Return all metrics of an answer form by name; a JSON Schema adds `schema_valid`."""
    if schema is None:
        return METRICS[form]
    return METRICS[form] | {"schema_valid": share(json_schemas.kept_by(schema))}
