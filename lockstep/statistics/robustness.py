"""Robustness: does the model give the same answer when the question is perturbed?"""

from collections.abc import Callable, Sequence
from typing import Any

from lockstep.metrics import classification, refusals, rules, scores, tool_calls
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import PARENT, PERTURBATION, Prediction
from lockstep.statistics.confidence_intervals import compute_mean_interval
from lockstep.suites import AnswerForm


def compute_robustness(
    predictions: Sequence[Prediction], perturbed: Sequence[Prediction], suite: MeasuredSuite
) -> dict[str, dict[str, Any]]:
    """Return the robustness of a suite overall and for each perturbation; {} if none was asked.

    `records` counts the original records, `variants` their perturbed versions. `agreement` says
    how far the answers to the perturbed versions agree with the answer to the original, 0 to 1,
    as the mean over originals, with its 95% `interval` if there are two; `all_agree` is the share
    of originals with which all versions agree entirely; `score` is the mean score of the perturbed
    answers, and `score_unchanged` that of their originals.
    """
    asked = [row for row in [*predictions, *perturbed] if row.task == suite.task]
    originals = {row.id: row for row in asked if PARENT not in row.slices}
    pairs = [(originals[row.slices[PARENT]], row) for row in asked if PARENT in row.slices]
    kinds = sorted({row.slices[PERTURBATION] for _, row in pairs})
    parts = {kind: [p for p in pairs if p[1].slices[PERTURBATION] == kind] for kind in kinds}
    return {
        name: _summarize(part, suite) for name, part in {"overall": pairs, **parts}.items() if part
    }


def _summarize(
    pairs: Sequence[tuple[Prediction, Prediction]], suite: MeasuredSuite
) -> dict[str, Any]:
    agreement = AGREEMENT[suite.form]
    by_parent: dict[str, list[float]] = {}
    for original, row in pairs:
        by_parent.setdefault(original.id, []).append(agreement(original, row))
    parents = {original.id: original for original, _ in pairs}
    means = [_mean(part) for part in by_parent.values()]
    interval = compute_mean_interval(means, 0, 1)
    return {
        "records": len(parents),
        "variants": len(pairs),
        "agreement": _mean(means),
        "interval": [interval.low, interval.high] if interval else None,
        "all_agree": _mean([float(min(part) == 1) for part in by_parent.values()]),
        "score": _mean([suite.score(row) for _, row in pairs]),
        "score_unchanged": _mean([suite.score(row) for row in parents.values()]),
    }


def _equal(first: Prediction, second: Prediction) -> float:
    return scores.exact_match(first.prediction, second.prediction)


def _equal_label(first: Prediction, second: Prediction) -> float:
    return classification.label_match(first.prediction, second.prediction)


def _equal_value(first: Prediction, second: Prediction) -> float:
    """Return 1 for equal JSON values, or for equal texts that are not JSON."""
    return max(scores.json_match(first.prediction, second.prediction), _equal(first, second))


def _equal_calls(first: Prediction, second: Prediction) -> float:
    """Return 1 for equal calls, or for equal texts without a call."""
    if tool_calls.parse_calls(first.prediction):
        return tool_calls.call_match(first.prediction, second.prediction)
    return _equal(first, second)


def _similar_text(first: Prediction, second: Prediction) -> float:
    """Return ROUGE-L of the two texts; 1 for two texts without a word."""
    return max(scores.rouge_l(first.prediction, second.prediction), _equal(first, second))


def _equal_rules(first: Prediction, second: Prediction) -> float:
    """Return the share of rules that both answers follow or both break."""
    followed = [rules.check_rules(row.reference, row.prediction) for row in (first, second)]
    return _mean([float(one == other) for one, other in zip(*followed, strict=True)])


def _equal_refusal(first: Prediction, second: Prediction) -> float:
    """Return 1 if both refuse, both answer or both say nothing."""
    kinds = [
        (refusals.is_refusal(row.prediction), refusals.is_answer(row.prediction))
        for row in (first, second)
    ]
    return float(kinds[0] == kinds[1])


AGREEMENT: dict[AnswerForm, Callable[[Prediction, Prediction], float]] = {
    "choice": _equal,
    "written_label": _equal_label,
    "written_number": _equal_label,
    "json": _equal_value,
    "calls": _equal_calls,
    "text": _similar_text,
    "preference": _equal,
    "refusal": _equal_refusal,
    "rules": _equal_rules,
    "label": _equal,
    "labels": _equal_value,
    "number": _equal,
}
"""Answer form -> agreement of two answers, from 0 to 1."""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
