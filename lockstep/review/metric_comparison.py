"""Compare the metrics of two commits: record by record, or by the intervals of both sides."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, TypeGuard

from lockstep import multiple_testing
from lockstep.metrics.aggregation import Metric
from lockstep.metrics.metric_display import describe_metric, sort_metrics
from lockstep.metrics.registry import LIKELIHOOD_METRICS
from lockstep.metrics.suite_metrics import PERPLEXITY
from lockstep.predictions import VARIANTS
from lockstep.statistics import confidence_intervals, paired_tests
from lockstep.statistics.confidence_intervals import CONFIDENCE, Interval
from lockstep.statistics.details import Metrics, get_suites
from lockstep.statistics.paired_tests import Difference
from lockstep.statistics.record_scores import ScoredRecord, StoredScores

SHIPPED = "quantized"
"""Variant that ships; the main metrics of its suites decide the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """A metric on both sides of the comparison."""

    variant: str
    suite: str
    metric: str
    base: float | None
    this: float | None
    """Values on the records of `difference`; None if that side does not have the metric."""
    difference: Difference | None
    """This minus base; None if one side does not have the metric, or without intervals."""
    is_paired: bool
    """Whether the same records were compared one by one."""
    is_deciding: bool
    """Whether it is the main metric of a suite of the variant that ships."""

    @property
    def word(self) -> str:
        """Judgement in a word: better, worse, could be chance, same or not compared."""
        if self.difference is None:
            return "not compared"
        if not self.difference.value:
            return "same"
        if self.difference.could_be_chance:
            return "could be chance"
        is_gain = (self.difference.value > 0) != describe_metric(self.metric).lower_is_better
        return "better" if is_gain else "worse"


@dataclass(frozen=True, slots=True)
class Results:
    """Results that evaluate wrote at one side."""

    details: Metrics
    scores: StoredScores


def compare_metrics(base: Results, this: Results, seed: int) -> list[MetricChange]:
    """Return the change of each metric of each variant, p-values corrected.

    The metrics that decide are corrected among themselves, and all others among themselves. A
    metric to which all records add the same as before cannot be significant, so it does not count
    as a test (Tarone, 1990).
    """
    changes = [
        change
        for variant in VARIANTS
        for suite in _list_suites(base, this, variant)
        for change in _compare_suite(base, this, variant, suite, seed)
    ]
    return [*_adjust(changes, is_deciding=True), *_adjust(changes, is_deciding=False)]


def pair_records(
    base: StoredScores, this: StoredScores, variant: str, suite: str
) -> tuple[list[ScoredRecord], list[ScoredRecord]]:
    """Return the records of a suite that both sides answered in one form, in the same order."""
    before, after = base.suites.get(suite), this.suites.get(suite)
    if before is None or after is None or before.form != after.form:
        return [], []
    earlier = {record.id: record for record in before.records.get(variant, [])}
    paired = [record for record in after.records.get(variant, []) if record.id in earlier]
    return [earlier[record.id] for record in paired], paired


def get_overall(details: Metrics, variant: str, suite: str) -> tuple[Metrics, Metrics, int]:
    """Return the metrics of a suite, their intervals and the number of records."""
    values = details.get(variant, {})
    if suite == PERPLEXITY:
        metrics = {name: values[name] for name in LIKELIHOOD_METRICS if name in values}
        return metrics, values.get("intervals", {}), 0
    part = values.get(suite, {})
    return part.get("overall", {}), part.get("intervals", {}), part.get("records", 0)


def _list_suites(base: Results, this: Results, variant: str) -> list[str]:
    """Return the suites of this side, those that only the base has, and the likelihoods."""
    sides = (this.details.get(variant, {}), base.details.get(variant, {}))
    names = dict.fromkeys(name for side in sides for name in get_suites(side))
    return [*names, *([PERPLEXITY] if any(PERPLEXITY in side for side in sides) else [])]


def _compare_suite(
    base: Results, this: Results, variant: str, suite: str, seed: int
) -> Iterator[MetricChange]:
    before, after = pair_records(base.scores, this.scores, variant, suite)
    stored = this.scores.suites.get(suite)
    paired = {}
    if stored and before:  # a metric of this side alone has no values of the base's records
        known = base.scores.suites[suite].metrics
        metrics = {name: metric for name, metric in stored.metrics.items() if name in known}
        paired = _compare_records(before, after, metrics, seed)
    old, old_intervals, _ = get_overall(base.details, variant, suite)
    new, new_intervals, records = get_overall(this.details, variant, suite)
    names = sort_metrics({*old, *new})
    for name in names:
        values, difference = paired.get(name, ((old.get(name), new.get(name)), None))
        is_paired = difference is not None
        if not is_paired and name in old_intervals and name in new_intervals:
            sides = (new[name], new_intervals[name]), (old[name], old_intervals[name])
            difference = _subtract(*sides, records)
        yield MetricChange(
            variant=variant,
            suite=suite,
            metric=name,
            base=values[0],
            this=values[1],
            difference=difference,
            is_paired=is_paired,
            is_deciding=variant == SHIPPED and suite != PERPLEXITY and name == names[0],
        )


def _compare_records(
    before: Sequence[ScoredRecord],
    after: Sequence[ScoredRecord],
    metrics: Mapping[str, Metric],
    seed: int,
) -> dict[str, tuple[tuple[float | None, float | None], Difference]]:
    """Return {metric: (values of both sides, difference)}; equal answers need no test."""
    if list(before) == list(after):
        none = Difference(
            records=len(after), value=0.0, interval=Interval(0.0, 0.0), p=1.0, p_adjusted=1.0,
            detectable=None,
        )  # fmt: skip
        differences: Mapping[str, Difference] = dict.fromkeys(metrics, none)
    else:
        differences = paired_tests.compute_differences(metrics, before, after, seed)
    return {
        name: ((metrics[name].compute(before), metrics[name].compute(after)), difference)
        for name, difference in differences.items()
    }


def _subtract(
    this: tuple[float, Sequence[float]], base: tuple[float, Sequence[float]], records: int
) -> Difference:
    """Return this minus base from the values and intervals of independent samples.

    The p-value is that of the interval (Altman and Bland, 2011).
    """
    interval = confidence_intervals.compute_difference_interval(
        (this[0], Interval(*this[1])), (base[0], Interval(*base[1]))
    )
    value = this[0] - base[0]
    standard_error = (interval.high - interval.low) / (
        2 * NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    )
    p = 2 * NormalDist().cdf(-abs(value) / standard_error) if standard_error else float(not value)
    detectable = confidence_intervals.compute_detectable_difference(standard_error) or None
    return Difference(
        records=records, value=value, interval=interval, p=p, p_adjusted=p, detectable=detectable
    )


def _adjust(changes: Sequence[MetricChange], *, is_deciding: bool) -> Iterator[MetricChange]:
    family = [change for change in changes if change.is_deciding == is_deciding]
    tested = [change.difference for change in family if _is_tested(change.difference)]
    adjusted = iter(multiple_testing.adjust_p_values([difference.p for difference in tested]))
    for change in family:
        if _is_tested(change.difference):
            yield replace(change, difference=replace(change.difference, p_adjusted=next(adjusted)))
        else:
            yield change


def _is_tested(difference: Difference | None) -> TypeGuard[Difference]:
    """Whether there is a difference that could be significant."""
    if difference is None:
        return False
    return bool(difference.value) or difference.interval != Interval(0.0, 0.0)


def is_defined(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)
