"""Compute the metrics of a judge's verdicts: win rates of compared variants and mean scores."""

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
        task_judgements = [judgement for judgement in judgements if judgement.task == task]
        metrics[task] = {
            "compared": {
                comparison.name: _compare_variants(task_judgements, comparison, settings.dimensions)
                for comparison in settings.compare
            },
            "scored": {
                variant: _average_scores(task_judgements, variant, settings.dimensions)
                for variant in settings.score
            },
        }
    return metrics


def _compare_variants(
    judgements: Sequence[Judgement], comparison: Comparison, dimensions: Sequence[str]
) -> dict[str, Any]:
    """Return the win, tie and loss rates of a variant against another one.

    A variant wins or loses a record if the judge says so in both orders; all else is a tie. Zheng
    et al. (2023, Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena) correct position bias in
    this way. `agreement` is the share of the records judged in both orders on which the two
    verdicts agree. `interval` is the 95% interval of the win rate, and `p` the p-value of a sign
    test of wins against losses.
    """
    forward = _select_judgements(judgements, [comparison.variant, comparison.against])
    reverse = _select_judgements(judgements, [comparison.against, comparison.variant])
    # equal answers are judged in one order only, as a tie
    verdicts = _drop_unreadable(
        [(first.verdicts, reverse.get(id_, first).verdicts) for id_, first in forward.items()]
    )
    in_both_orders = _drop_unreadable(
        [(forward[id_].verdicts, second.verdicts) for id_, second in reverse.items()]
    )
    by_dimension: dict[str, Any] = {}
    for name in dimensions if verdicts else ():
        wins = sum(first[name] == second[name] == comparison.variant for first, second in verdicts)
        losses = sum(
            first[name] == second[name] == comparison.against for first, second in verdicts
        )
        agreeing = sum(first[name] == second[name] for first, second in in_both_orders)
        counts = {"win": wins, "tie": len(verdicts) - wins - losses, "loss": losses}
        by_dimension[name] = {
            **{outcome: _round_ratio(count, len(verdicts)) for outcome, count in counts.items()},
            "interval": _round_interval(compute_share_interval(wins, len(verdicts))),
            "p": round(compute_mcnemar_p(wins, losses), 4),
        }
        if in_both_orders:
            by_dimension[name]["agreement"] = _round_ratio(agreeing, len(in_both_orders))
    return _summarize([*forward.values(), *reverse.values()], len(verdicts), by_dimension)


def _average_scores(
    judgements: Sequence[Judgement], variant: str, dimensions: Sequence[str]
) -> dict[str, Any]:
    """Return the mean score of a variant, 1 to 5, in each dimension."""
    variant_judgements = list(_select_judgements(judgements, [variant]).values())
    readable = [judgement.verdicts for judgement in variant_judgements if judgement.verdicts]
    by_dimension = {
        name: _summarize_scores([int(verdicts[name]) for verdicts in readable])
        for name in (dimensions if readable else ())
    }
    return _summarize(variant_judgements, len(readable), by_dimension)


def _summarize_scores(scores: Sequence[int]) -> dict[str, Any]:
    """Return the mean of scores, with its 95% interval if there are two scores or more."""
    mean: dict[str, Any] = {"mean": _round_ratio(sum(scores), len(scores))}
    interval = compute_mean_interval(scores, min(SCALE), max(SCALE))
    return mean | ({"interval": _round_interval(interval)} if interval else {})


def _round_interval(interval: Interval) -> list[float]:
    return [round(interval.low, 4), round(interval.high, 4)]


def _select_judgements(
    judgements: Sequence[Judgement], variants: list[str]
) -> dict[str, Judgement]:
    """Return the judgements of these variants, shown in this order, by record id."""
    return {judgement.id: judgement for judgement in judgements if judgement.shown == variants}


def _drop_unreadable(
    pairs: Sequence[tuple[Verdicts | None, Verdicts | None]],
) -> list[tuple[Verdicts, Verdicts]]:
    return [(first, second) for first, second in pairs if first and second]


def _summarize(
    judgements: Sequence[Judgement], records: int, by_dimension: dict[str, Any]
) -> dict[str, Any]:
    """Return the metrics by dimension with the counts of records and of unreadable replies."""
    replied = [judgement for judgement in judgements if judgement.reply is not None]
    unreadable = sum(judgement.verdicts is None for judgement in replied)
    summary: dict[str, Any] = {"records": records, "dimensions": by_dimension}
    if replied:
        summary["unreadable"] = _round_ratio(unreadable, len(replied))
    return summary


def _round_ratio(count: int, total: int) -> float:
    return round(count / total, 4)
