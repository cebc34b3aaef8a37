"""The metrics of a judge's verdicts: win rates of compared variants and mean scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.judging.judge_params import Comparison, JudgeParams
from lockstep.judging.judge_replies import SCALE
from lockstep.judging.judgements import Judgement
from lockstep.statistics.confidence_intervals import (
    Interval,
    compute_mcnemar_p,
    compute_mean_interval,
    compute_share_interval,
)

Verdicts = Mapping[str, str | int]
"""Verdict by dimension."""


def compute_judge_metrics(judgements: Sequence[Judgement], settings: JudgeParams) -> dict[str, Any]:
    """Return {task: {compared: {comparison: metrics}, scored: {variant: metrics}}}.

    Shares are 0 to 1. `unreadable` is the share of unreadable replies; a record with one does not
    count in the other metrics. `records` is the number of records that count.
    """
    metrics = {}
    for task in dict.fromkeys(judgement.task for judgement in judgements):
        of_task = [judgement for judgement in judgements if judgement.task == task]
        metrics[task] = {
            "compared": {
                comparison.name: _compare(of_task, comparison, settings.dimensions)
                for comparison in settings.compare
            },
            "scored": {
                variant: _average_scores(of_task, variant, settings.dimensions)
                for variant in settings.score
            },
        }
    return metrics


def _compare(
    judgements: Sequence[Judgement], comparison: Comparison, dimensions: Sequence[str]
) -> dict[str, Any]:
    """Return the win, tie and loss rates of a variant against another one.

    A variant wins or loses a record if the judge says so in both orders; all else is a tie. Zheng
    et al. (2023, Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena) correct position bias in
    this way. `agreement` is the share of the records judged in both orders on which the two
    verdicts agree. `interval` is the 95% interval of the win rate, and `p` the p-value of a sign
    test of wins against losses.
    """
    forward = _select(judgements, [comparison.variant, comparison.against])
    reverse = _select(judgements, [comparison.against, comparison.variant])
    # equal answers are judged in one order only, as a tie
    verdicts = _drop_unreadable(
        [(one.verdicts, reverse.get(id_, one).verdicts) for id_, one in forward.items()]
    )
    asked_twice = _drop_unreadable(
        [(forward[id_].verdicts, other.verdicts) for id_, other in reverse.items()]
    )
    by_dimension: dict[str, Any] = {}
    for name in dimensions if verdicts else ():
        wins = sum(one[name] == other[name] == comparison.variant for one, other in verdicts)
        losses = sum(one[name] == other[name] == comparison.against for one, other in verdicts)
        agreeing = sum(one[name] == other[name] for one, other in asked_twice)
        counts = {"win": wins, "tie": len(verdicts) - wins - losses, "loss": losses}
        by_dimension[name] = {
            **{outcome: _ratio(count, len(verdicts)) for outcome, count in counts.items()},
            "interval": _bounds(compute_share_interval(wins, len(verdicts))),
            "p": round(compute_mcnemar_p(wins, losses), 4),
        }
        if asked_twice:
            by_dimension[name]["agreement"] = _ratio(agreeing, len(asked_twice))
    return _summarize([*forward.values(), *reverse.values()], len(verdicts), by_dimension)


def _average_scores(
    judgements: Sequence[Judgement], variant: str, dimensions: Sequence[str]
) -> dict[str, Any]:
    """Return the mean score of a variant, 1 to 5, in each dimension."""
    of_variant = list(_select(judgements, [variant]).values())
    readable = [judgement.verdicts for judgement in of_variant if judgement.verdicts]
    by_dimension = {
        name: _mean([int(verdicts[name]) for verdicts in readable])
        for name in (dimensions if readable else ())
    }
    return _summarize(of_variant, len(readable), by_dimension)


def _mean(scores: Sequence[int]) -> dict[str, Any]:
    """Return the mean of scores and, of two or more scores, its 95% interval."""
    mean: dict[str, Any] = {"mean": _ratio(sum(scores), len(scores))}
    interval = compute_mean_interval(scores, min(SCALE), max(SCALE))
    return mean | ({"interval": _bounds(interval)} if interval else {})


def _bounds(interval: Interval) -> list[float]:
    return [round(interval.low, 4), round(interval.high, 4)]


def _select(judgements: Sequence[Judgement], variants: list[str]) -> dict[str, Judgement]:
    """Return the judgements of these variants, shown in this order, by record id."""
    return {judgement.id: judgement for judgement in judgements if judgement.shown == variants}


def _drop_unreadable(
    pairs: Sequence[tuple[Verdicts | None, Verdicts | None]],
) -> list[tuple[Verdicts, Verdicts]]:
    return [(one, other) for one, other in pairs if one and other]


def _summarize(
    judgements: Sequence[Judgement], records: int, by_dimension: dict[str, Any]
) -> dict[str, Any]:
    """Return the metrics by dimension with the counts of records and of unreadable replies."""
    replied = [judgement for judgement in judgements if judgement.reply is not None]
    unreadable = sum(judgement.verdicts is None for judgement in replied)
    summary: dict[str, Any] = {"records": records, "dimensions": by_dimension}
    if replied:
        summary["unreadable"] = _ratio(unreadable, len(replied))
    return summary


def _ratio(count: int, total: int) -> float:
    return round(count / total, 4)
