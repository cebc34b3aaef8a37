"""How far the answers to a question put otherwise are those to the question itself."""

from collections.abc import Callable, Sequence
from typing import Any

from lockstep.metrics import classification, refusals, rules, scores, tool_calls
from lockstep.metrics.suites import Answer
from lockstep.predicting.perturbations import PARENT, VARIATION
from lockstep.predictions import Prediction
from lockstep.statistics.confidence_intervals import of_mean


def figures(predictions: Sequence[Prediction], answer: Answer) -> dict[str, dict[str, Any]]:
    """Of a suite's originals and their variants: overall, and for each variation.

    `agreement` is how far the variants' answers are that to their original, 0 to 1, the mean over
    originals, with its 95% interval where there are two;
    `all_agree` the share of originals all of whose variants agree entirely; `score` how right the
    variants' answers are, and `score_unchanged` the originals' that have some.
    """
    agrees = AGREEMENT[answer]
    originals = {row.id: row for row in predictions if PARENT not in row.slices}
    pairs = [(originals[row.slices[PARENT]], row) for row in predictions if PARENT in row.slices]
    names = sorted({row.slices[VARIATION] for _, row in pairs})
    parts = {name: [p for p in pairs if p[1].slices[VARIATION] == name] for name in names}
    return {
        name: _figures(part, agrees) for name, part in {"overall": pairs, **parts}.items() if part
    }


def _figures(
    pairs: Sequence[tuple[Prediction, Prediction]],
    agrees: Callable[[Prediction, Prediction], float],
) -> dict[str, Any]:
    by_parent: dict[str, list[float]] = {}
    for original, row in pairs:
        by_parent.setdefault(original.id, []).append(agrees(original, row))
    parents = {original.id: original for original, _ in pairs}
    ends = of_mean([_mean(part) for part in by_parent.values()], 0, 1)
    return {
        "records": len(parents),
        "variants": len(pairs),
        "agreement": _mean([_mean(part) for part in by_parent.values()]),
        "interval": [ends.low, ends.high] if ends else None,
        "all_agree": _mean([float(min(part) == 1) for part in by_parent.values()]),
        "score": _mean([row.score or 0.0 for _, row in pairs]),
        "score_unchanged": _mean([row.score or 0.0 for row in parents.values()]),
    }


def _same(one: Prediction, other: Prediction) -> float:
    return scores.same(one.prediction, other.prediction)


def _same_label(one: Prediction, other: Prediction) -> float:
    return classification.same(one.prediction, other.prediction)


def _same_value(one: Prediction, other: Prediction) -> float:
    """1 for one JSON value, or for one text where the answers are no JSON."""
    return max(
        scores.same_json(one.prediction, other.prediction),
        scores.same(one.prediction, other.prediction),
    )


def _same_calls(one: Prediction, other: Prediction) -> float:
    """1 for the same calls, or for one text where nothing is called."""
    return (
        tool_calls.same(one.prediction, other.prediction)
        if tool_calls.parsed(one.prediction)
        else _same(one, other)
    )


def _same_words(one: Prediction, other: Prediction) -> float:
    """ROUGE-L of the two; 1 where neither says a word."""
    return max(
        scores.rouge_l(one.prediction, other.prediction),
        scores.same(one.prediction, other.prediction),
    )


def _same_rules(one: Prediction, other: Prediction) -> float:
    """The share of rules that both follow or neither does."""
    pairs = zip(
        *(rules.followed(row.reference, row.prediction) for row in (one, other)), strict=True
    )
    return _mean([float(first == second) for first, second in pairs])


def _same_refusal(one: Prediction, other: Prediction) -> float:
    """1 where both refuse, both answer or both say nothing."""
    kinds = [
        (refusals.refuses(row.prediction), refusals.answers(row.prediction)) for row in (one, other)
    ]
    return float(kinds[0] == kinds[1])


AGREEMENT: dict[Answer, Callable[[Prediction, Prediction], float]] = {
    "choice": _same,
    "written_label": _same_label,
    "json": _same_value,
    "calls": _same_calls,
    "text": _same_words,
    "preference": _same,
    "refusal": _same_refusal,
    "rules": _same_rules,
    "label": _same,
    "labels": _same_value,
    "number": _same,
}
"""How far two answers of a suite agree, 0 to 1."""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
