"""The figures of people's ratings: means with intervals, what changed, and how far raters agree."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lockstep.human import rating_entries, rating_items, reliability
from lockstep.human.rating_entries import Entry
from lockstep.human.rating_items import HIGHEST, LOWEST, HumanParams, Item
from lockstep.predictions import STEPS, Prediction
from lockstep.statistics.confidence_intervals import compute_mean_interval

Figures = dict[str, Any]
Answers = Mapping[str, Mapping[str, int]]
"""Code of an item -> rater -> rating."""


def figures(
    folder: Path, predictions: Mapping[str, Sequence[Prediction]], chosen: HumanParams
) -> Figures:
    """{suite: {variants, changes, agreement}} by dimension; {} where nothing is rated yet.

    `predictions` are those of each variant; ratings of what none of them answers, an earlier
    model's, are counted as `outdated` beside the suites. What is not defined is left out: the
    interval of one record, alpha where all ratings are one number. Numbers are rounded to 4
    decimals.
    """
    known = rating_items.collect(predictions)
    given = rating_entries.read(folder, chosen.dimensions.keys())
    suites: dict[str, list[Entry]] = defaultdict(list)
    for entry in given:
        if entry.item in known:
            suites[known[entry.item].task].append(entry)
    outdated = sum(entry.item not in known for entry in given)
    found: Figures = {task: _suite(own, known, chosen) for task, own in sorted(suites.items())}
    return found | ({"outdated": outdated} if outdated else {})


def mean(values: Sequence[float], lowest: float, highest: float) -> Figures:
    """The mean of records with its 95% interval over the records' own means.

    Records are what was drawn; ratings of one record are not independent of each other.
    """
    found: Figures = {"records": len(values), "mean": round(fmean(values), 4)}
    ends = compute_mean_interval(values, lowest, highest)
    return found | ({"interval": [round(ends.low, 4), round(ends.high, 4)]} if ends else {})


def _suite(own: Sequence[Entry], known: Mapping[str, Item], chosen: HumanParams) -> Figures:
    result: Figures = {"variants": {}, "changes": {}, "agreement": {}}
    for name in chosen.dimensions:
        answers: dict[str, dict[str, int]] = defaultdict(dict)
        for entry in own:
            if name in entry.ratings:
                answers[entry.item][entry.rater] = entry.ratings[name]
        if not answers:
            continue
        by_variant = _by_variant(answers, known)
        for variant, records in sorted(by_variant.items()):
            values = [fmean(ratings.values()) for ratings in records.values()]
            ratings = sum(map(len, records.values()))
            found = mean(values, LOWEST, HIGHEST) | {"ratings": ratings}
            result["variants"].setdefault(variant, {})[name] = found
        for step, (before, after) in STEPS.items():
            changes = _changes(by_variant.get(before, {}), by_variant.get(after, {}))
            if changes:
                span = HIGHEST - LOWEST
                result["changes"].setdefault(step, {})[name] = mean(changes, -span, span)
        result["agreement"][name] = _agreement(answers)
    return result


def _by_variant(answers: Answers, known: Mapping[str, Item]) -> dict[str, Answers]:
    """variant -> record -> rater -> rating."""
    found: dict[str, dict[str, Mapping[str, int]]] = defaultdict(dict)
    for code, ratings in answers.items():
        for variant in known[code].variants:
            found[variant][known[code].record] = ratings
    return dict(found)


def _changes(before: Answers, after: Answers) -> list[float]:
    """How much better each record is rated, by raters who rated both answers.

    So a strict rater of one and a mild one of the other make no difference.
    """
    pairs = {
        record: [after[record][rater] - old for rater, old in ratings.items() if rater in new]
        for record, ratings in before.items()
        if (new := after.get(record))
    }
    return [fmean(differences) for differences in pairs.values() if differences]


def _agreement(answers: Answers) -> Figures:
    """Of the answers that two or more have rated."""
    shared = [ratings for ratings in answers.values() if len(ratings) > 1]
    found: Figures = {
        "raters": len({rater for ratings in answers.values() for rater in ratings}),
        "answers": len(shared),
    }
    alpha = reliability.alpha([[*ratings.values()] for ratings in shared])
    return found if alpha is None else found | {"alpha": round(alpha, 4)}
