"""The metrics of human ratings: means with intervals, changes, and agreement of the raters."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from statistics import fmean
from typing import Any

from lockstep.human.human_params import HumanParams
from lockstep.human.rating_items import Item, collect_items
from lockstep.predictions import STEPS, Prediction
from lockstep.rating_entries import HIGHEST, LOWEST, Entry, read_entries
from lockstep.statistics.confidence_intervals import compute_mean_interval

Metrics = dict[str, Any]
Ratings = Mapping[str, Mapping[str, int]]
"""Rating by item code, or by record id, and by rater."""


def compute_rating_metrics(
    folder: Path, predictions: Mapping[str, Sequence[Prediction]], settings: HumanParams
) -> Metrics:
    """Return {suite: {variants, changes, agreement}}, each by dimension; {} without ratings.

    `predictions` has the predictions of each variant. Ratings of answers that no variant gives
    any more are counted as `outdated`, beside the suites. Undefined metrics are omitted: the
    interval of one record, and alpha if all ratings are equal. Numbers are rounded to 4 decimals.
    """
    items = collect_items(predictions)
    entries = read_entries(folder, settings.dimensions.keys())
    by_suite: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.item in items:
            by_suite[items[entry.item].task].append(entry)
    outdated = sum(entry.item not in items for entry in entries)
    metrics: Metrics = {
        suite: _compute_suite_metrics(suite_entries, items, settings)
        for suite, suite_entries in sorted(by_suite.items())
    }
    return metrics | ({"outdated": outdated} if outdated else {})


def average_records(values: Sequence[float], lowest: float, highest: float) -> Metrics:
    """Return the mean of the records' means and its 95% interval between the bounds.

    The interval is over records, which are sampled independently; ratings of one record are not.
    """
    metrics: Metrics = {"records": len(values), "mean": round(fmean(values), 4)}
    interval = compute_mean_interval(values, lowest, highest)
    if interval:
        metrics["interval"] = [round(interval.low, 4), round(interval.high, 4)]
    return metrics


def compute_krippendorff_alpha(units: Iterable[Sequence[int]]) -> float | None:
    """Return Krippendorff's alpha of ordinal ratings: 1 is agreement, 0 is chance level.

    A unit has all ratings of one item, in any order; units with fewer than two ratings do not
    count. None means that alpha is undefined: no unit counts, or all ratings are equal.

    K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, sections C to E.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    totals = Counter(value for unit in pairable for value in unit)
    coincidences: dict[tuple[int, int], float] = defaultdict(float)
    for unit in pairable:
        for pair in permutations(unit, 2):
            coincidences[pair] += 1 / (len(unit) - 1)
    values = sorted(totals)

    def compute_distance(first: int, second: int) -> float:
        """Return the squared number of ratings between two values, the ends counted by half."""
        low, high = sorted((first, second))
        between = sum(totals[value] for value in values if low <= value <= high)
        return (between - (totals[first] + totals[second]) / 2) ** 2

    observed = sum(count * compute_distance(*pair) for pair, count in coincidences.items())
    expected = sum(totals[a] * totals[b] * compute_distance(a, b) for a in values for b in values)
    return 1 - (totals.total() - 1) * observed / expected if expected else None


def _compute_suite_metrics(
    entries: Sequence[Entry], items: Mapping[str, Item], settings: HumanParams
) -> Metrics:
    metrics: Metrics = {"variants": {}, "changes": {}, "agreement": {}}
    for dimension in settings.dimensions:
        by_item: dict[str, dict[str, int]] = defaultdict(dict)
        for entry in entries:
            if dimension in entry.ratings:
                by_item[entry.item][entry.rater] = entry.ratings[dimension]
        if not by_item:
            continue
        by_variant = _group_by_variant(by_item, items)
        for variant, by_record in sorted(by_variant.items()):
            means = [fmean(ratings.values()) for ratings in by_record.values()]
            average = average_records(means, LOWEST, HIGHEST)
            average["ratings"] = sum(map(len, by_record.values()))
            metrics["variants"].setdefault(variant, {})[dimension] = average
        for step, (before, after) in STEPS.items():
            changes = _compute_record_changes(by_variant.get(before, {}), by_variant.get(after, {}))
            if changes:
                span = HIGHEST - LOWEST
                average = average_records(changes, -span, span)
                metrics["changes"].setdefault(step, {})[dimension] = average
        metrics["agreement"][dimension] = _compute_agreement(by_item)
    return metrics


def _group_by_variant(by_item: Ratings, items: Mapping[str, Item]) -> dict[str, Ratings]:
    """Return the ratings of each variant by record id and rater."""
    by_variant: dict[str, dict[str, Mapping[str, int]]] = defaultdict(dict)
    for code, ratings in by_item.items():
        for variant in items[code].variants:
            by_variant[variant][items[code].record] = ratings
    return dict(by_variant)


def _compute_record_changes(before: Ratings, after: Ratings) -> list[float]:
    """Return the mean change of each record's rating, over raters who rated both answers.

    The restriction to these raters removes differences between strict and mild raters.
    """
    differences_by_record = {
        record: [after[record][rater] - old for rater, old in ratings.items() if rater in new]
        for record, ratings in before.items()
        if (new := after.get(record))
    }
    return [fmean(differences) for differences in differences_by_record.values() if differences]


def _compute_agreement(by_item: Ratings) -> Metrics:
    """Return the agreement of the raters on the answers that two or more rated."""
    shared = [ratings for ratings in by_item.values() if len(ratings) > 1]
    metrics: Metrics = {
        "raters": len({rater for ratings in by_item.values() for rater in ratings}),
        "answers": len(shared),
    }
    alpha = compute_krippendorff_alpha([[*ratings.values()] for ratings in shared])
    return metrics if alpha is None else metrics | {"alpha": round(alpha, 4)}
