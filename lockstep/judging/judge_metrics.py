"""The figures of a judge, from its judgements alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.judging.judge_params import Comparison, Judge
from lockstep.judging.judge_replies import SCALE
from lockstep.judging.judgements import Judgement
from lockstep.statistics.confidence_intervals import (
    Interval,
    compute_mcnemar_p,
    compute_mean_interval,
    compute_share_interval,
)

Verdicts = Mapping[str, str | int]


def of(judgements: Sequence[Judgement], chosen: Judge) -> dict[str, Any]:
    """{task: {compared: {pair: figures}, scored: {variant: figures}}}; shares are 0 to 1.

    `unreadable` is the share of the replies that were none; a record with such a reply does not
    count in the other figures, and `records` says how many do.
    """
    result = {}
    for suite in dict.fromkeys(judgement.task for judgement in judgements):
        own = [judgement for judgement in judgements if judgement.task == suite]
        result[suite] = {
            "compared": {
                pair.name: _compared(own, pair, chosen.dimensions) for pair in chosen.compare
            },
            "scored": {
                variant: _scored(own, variant, chosen.dimensions) for variant in chosen.score
            },
        }
    return result


def _compared(
    own: Sequence[Judgement], pair: Comparison, dimensions: Sequence[str]
) -> dict[str, Any]:
    """Of the variant: a win or a loss only where both orders say so, else a tie; the 95% interval
    of its wins, and how often chance alone parts wins and losses so (a sign test).

    Asking in both orders and calling a change of mind a tie is how Zheng et al. (2023, Judging
    LLM-as-a-Judge with MT-Bench and Chatbot Arena) treat position bias. `agreement` is the share
    of the records asked about on which both orders gave the same verdict.
    """
    forth = _shown(own, [pair.variant, pair.against])
    back = _shown(own, [pair.against, pair.variant])
    both = [(one.verdicts, back.get(id_, one).verdicts) for id_, one in forth.items()]
    asked = [(forth[id_].verdicts, other.verdicts) for id_, other in back.items()]
    verdicts, twice = _readable(both), _readable(asked)
    parts: dict[str, Any] = {}
    for name in dimensions if verdicts else ():
        won = sum(one[name] == two[name] == pair.variant for one, two in verdicts)
        lost = sum(one[name] == two[name] == pair.against for one, two in verdicts)
        same = sum(one[name] == two[name] for one, two in twice)
        shares = {"win": won, "tie": len(verdicts) - won - lost, "loss": lost}
        parts[name] = {
            **{key: _share(count, len(verdicts)) for key, count in shares.items()},
            "interval": _ends(compute_share_interval(won, len(verdicts))),
            "p": round(compute_mcnemar_p(won, lost), 4),
        }
        if twice:
            parts[name]["agreement"] = _share(same, len(twice))
    return _figures([*forth.values(), *back.values()], len(verdicts), parts)


def _scored(own: Sequence[Judgement], variant: str, dimensions: Sequence[str]) -> dict[str, Any]:
    """The mean score in each dimension, 1 to 5."""
    shown = _shown(own, [variant]).values()
    scores = [judgement.verdicts for judgement in shown if judgement.verdicts]
    parts = {
        name: _mean([int(own[name]) for own in scores]) for name in (dimensions if scores else ())
    }
    return _figures(list(shown), len(scores), parts)


def _mean(scores: Sequence[int]) -> dict[str, Any]:
    ends = compute_mean_interval(scores, min(SCALE), max(SCALE))
    found: dict[str, Any] = {"mean": _share(sum(scores), len(scores))}
    return found | ({"interval": _ends(ends)} if ends else {})


def _ends(interval: Interval) -> list[float]:
    return [round(interval.low, 4), round(interval.high, 4)]


def _shown(own: Sequence[Judgement], variants: list[str]) -> dict[str, Judgement]:
    """Record's id -> the judgement of these variants in this order."""
    return {judgement.id: judgement for judgement in own if judgement.shown == variants}


def _readable(
    pairs: Sequence[tuple[Verdicts | None, Verdicts | None]],
) -> list[tuple[Verdicts, Verdicts]]:
    return [(one, two) for one, two in pairs if one and two]


def _figures(
    judgements: Sequence[Judgement], records: int, dimensions: dict[str, Any]
) -> dict[str, Any]:
    asked = [judgement for judgement in judgements if judgement.reply is not None]
    unreadable = sum(judgement.verdicts is None for judgement in asked)
    result: dict[str, Any] = {"records": records, "dimensions": dimensions}
    if asked:
        result["unreadable"] = _share(unreadable, len(asked))
    return result


def _share(count: int, total: int) -> float:
    return round(count / total, 4)
