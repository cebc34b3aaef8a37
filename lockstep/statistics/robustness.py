"""Robustness: does the model give the same answer when the question is perturbed?"""

from collections.abc import Callable, Sequence
from typing import Any

from lockstep.metrics import classification, refusals, scores, tool_calls
from lockstep.metrics.rules import checking
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import PARENT, PERTURBATION, Prediction
from lockstep.statistics.confidence_intervals import compute_mean_interval
from lockstep.suites import AnswerForm


def compute_robustness(
    predictions: Sequence[Prediction], perturbed: Sequence[Prediction], suite: MeasuredSuite
) -> dict[str, dict[str, Any]]:
    """Return the robustness of a suite: {"overall" or perturbation: values}.

    It is {} without perturbed records. The values are:

    - `records`, `variants`: number of original records and of their perturbed versions;
    - `agreement`: mean agreement of the answers to the versions with the answer to the original,
      0 to 1, averaged over originals; `interval`: its 95% interval, None for one original;
    - `all_agree`: share of originals whose versions all have the same answer;
    - `score`, `score_unchanged`: mean score of the answers to versions and to originals.
    """
    rows = [row for row in [*predictions, *perturbed] if row.task == suite.task]
    originals = {row.id: row for row in rows if PARENT not in row.slices}
    pairs = [(originals[row.slices[PARENT]], row) for row in rows if PARENT in row.slices]
    by_kind: dict[str, list[tuple[Prediction, Prediction]]] = {}
    for pair in pairs:
        by_kind.setdefault(pair[1].slices[PERTURBATION], []).append(pair)
    return {
        name: _summarize(part, suite)
        for name, part in {"overall": pairs, **dict(sorted(by_kind.items()))}.items()
        if part
    }


def _summarize(
    pairs: Sequence[tuple[Prediction, Prediction]], suite: MeasuredSuite
) -> dict[str, Any]:
    agreement = AGREEMENT[suite.form]
    by_original: dict[str, list[float]] = {}
    for original, version in pairs:
        by_original.setdefault(original.id, []).append(agreement(original, version))
    originals = {original.id: original for original, _ in pairs}
    means = [_mean(part) for part in by_original.values()]
    interval = compute_mean_interval(means, 0, 1)
    return {
        "records": len(originals),
        "variants": len(pairs),
        "agreement": _mean(means),
        "interval": [interval.low, interval.high] if interval else None,
        "all_agree": _mean([float(min(part) == 1) for part in by_original.values()]),
        "score": _mean([suite.score(version) for _, version in pairs]),
        "score_unchanged": _mean([suite.score(original) for original in originals.values()]),
    }


def _equal(first: Prediction, second: Prediction) -> float:
    return scores.exact_match(first.prediction, second.prediction)


def _equal_label(first: Prediction, second: Prediction) -> float:
    return classification.label_match(first.prediction, second.prediction)


def _equal_number(first: Prediction, second: Prediction) -> float:
    """Return 1 for equal numbers, or for equal texts that are not numbers."""
    texts = first.prediction, second.prediction
    if all(map(scores.is_number, texts)):
        return float(float(texts[0]) == float(texts[1]))
    return _equal_label(first, second)


def _equal_value(first: Prediction, second: Prediction) -> float:
    """Return 1 for equal JSON values, or for equal texts that are not JSON."""
    return max(scores.json_match(first.prediction, second.prediction), _equal(first, second))


def _equal_calls(first: Prediction, second: Prediction) -> float:
    """Return 1 for equal calls, or for equal texts without a call."""
    if tool_calls.parse_calls(first.prediction):
        return tool_calls.call_match(first.prediction, second.prediction)
    return _equal(first, second)


def _similar_text(first: Prediction, second: Prediction) -> float:
    """Return ROUGE-L of the two texts; 1 for equal texts, even without a word."""
    return max(scores.rouge_l(first.prediction, second.prediction), _equal(first, second))


def _equal_rules(first: Prediction, second: Prediction) -> float:
    """Return the share of rules that both answers follow or both break."""
    results = [checking.check_rules(row.reference, row.prediction) for row in (first, second)]
    return _mean([float(is_met == other) for is_met, other in zip(*results, strict=True)])


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
    "written_number": _equal_number,
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
