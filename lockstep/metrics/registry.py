"""The figures of merit by the kind of answer, and those that need no library.

The values are those of the libraries that define them, which the tests compare with.
"""

import math
from collections.abc import Sequence

import numpy as np

from lockstep.metrics import (
    classification,
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
from lockstep.predictions import Prediction


def slots(rows: Sequence[Prediction]) -> Numbers:
    """(records, 3): values of JSON objects that are right, expected and given."""

    def counted(row: Prediction) -> tuple[int, int, int]:
        want, have = scores.slots(row.reference), scores.slots(row.prediction)
        return (want & have).total(), want.total(), have.total()

    return np.array([counted(row) for row in rows], dtype=float)


def slot_f1(sums: Numbers) -> Numbers:
    """F1 of what is right, expected and given, counted over all records."""
    return f1(sums[..., 0], sums[..., 1], sums[..., 2])


def margins(rows: Sequence[Prediction]) -> Numbers:
    """(records, 2): by how much the better answer has more merit, and 1."""
    return np.array(
        [(row.option_scores["chosen"] - row.option_scores["rejected"], 1.0) for row in rows]
    )


def moments(rows: Sequence[Prediction]) -> Numbers:
    """(records, 5): squared and absolute error, the expected number, its square, and 1."""
    pairs = [(float(row.reference), float(row.prediction)) for row in rows]
    return np.array([((a - b) ** 2, abs(a - b), a, a * a, 1.0) for a, b in pairs])


def r2(sums: Numbers) -> Numbers:
    """Coefficient of determination (scikit-learn); NaN where the expected numbers are one."""
    error, reference, square, count = (sums[..., at] for at in (0, 2, 3, 4))
    spread = square - reference**2 / count
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(spread > 1e-12 * square, 1 - error / spread, np.nan))


def nats(rows: Sequence[Prediction]) -> Numbers:
    """(records, 3): loss of the expected answer in nats, its tokens, its bytes in UTF-8."""
    return np.array([(row.loss, row.tokens, len(row.reference.encode())) for row in rows])


def perplexity(sums: Numbers) -> Numbers:
    """exp of the mean loss of an answer token."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(ratio(sums)))


def bits_per_byte(sums: Numbers) -> Numbers:
    """Bits that an answer's byte costs: unlike perplexity, comparable between tokenizers."""
    return ratio(sums[..., [0, 2]]) / math.log(2)


_CHOICES: dict[str, Metric] = {
    "accuracy": share(scores.same),
    "macro_f1": Sums(classification.choices, classification.macro(f1)),
    "macro_precision": Sums(classification.choices, classification.macro(precision)),
    "macro_recall": Sums(classification.choices, classification.macro(recall)),
    "weighted_f1": Sums(classification.choices, classification.weighted_f1),
    "roc_auc": Whole(classification.roc_auc),
    "calibration_error": Sums(classification.calibration, classification.calibration_error),
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
        "exact_match": share(scores.same_json),
        "valid": share(scores.valid_json),
        "slot_f1": Sums(slots, slot_f1),
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
        "exact_match": share(scores.same),
        "length_ratio": Sums(text_overlap.lengths, ratio),
        "distinct_2": Whole(text_overlap.distinct_2, by_jackknife=True),
    },
    "preference": {"accuracy": share(scores.same), "margin": Sums(margins, ratio)},
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
        "exact_match": share(scores.same_json),
        "micro_f1": Sums(classification.label_sets, classification.micro_f1),
        "macro_f1": Sums(classification.label_sets, classification.macro(f1)),
    },
    "number": {
        "mean_squared_error": Sums(moments, lambda sums: ratio(sums[..., [0, 4]])),
        "mean_absolute_error": Sums(moments, lambda sums: ratio(sums[..., [1, 4]])),
        "r2": Sums(moments, r2),
    },
}
"""How a suite's answers are obtained -> name -> the figure, the usual main one first."""

LIKELIHOOD: dict[str, Metric] = {
    "perplexity": Sums(nats, perplexity),
    "bits_per_byte": Sums(nats, bits_per_byte),
}
"""Of all expected answers, by a model that writes."""


def of(answer: str, schema: Schema | None = None) -> dict[str, Metric]:
    """Those of a kind of answers, by name; of JSON with a schema, whether they keep it as well."""
    if schema is None:
        return METRICS[answer]
    return METRICS[answer] | {"schema_valid": share(json_schemas.kept_by(schema))}
