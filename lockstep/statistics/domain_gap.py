"""Gap between the metrics on records inside and outside of the domain of a variant's training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import model_validator

from lockstep import multiple_testing
from lockstep.metrics.aggregation import InfluenceMetric, Metric, ResampledMetric, ShareMetric
from lockstep.metrics.metric_display import sort_metrics
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.params import Section
from lockstep.predictions import Prediction
from lockstep.statistics import confidence_intervals, paired_tests
from lockstep.statistics.confidence_intervals import Interval

IN_DOMAIN, OUT_OF_DOMAIN = "in_domain", "out_of_domain"


class DomainParams(Section):
    """The records that are out of the domain; all others that have the slice are in the domain."""

    slice: str = ""
    """Slice that tells the domain of a record; "" disables the comparison."""
    out: list[str] = []
    """Values of the slice that are out of the domain."""

    @model_validator(mode="after")
    def _check_both(self) -> "DomainParams":
        if bool(self.slice) != bool(self.out):
            raise ValueError("slice and out belong together; set both, or remove both")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainGap:
    """The main metric of a suite on both kinds of records."""

    metric: str
    records: dict[str, int]
    """Domain -> number of records."""
    values: dict[str, float]
    """Domain -> value of the metric."""
    intervals: dict[str, Interval]
    """Domain -> interval of the metric."""
    p: float
    """Two-sided p-value of the difference: Fisher's exact test of shares, a normal test of the
    area under the ROC curve, a permutation test of other metrics."""
    p_adjusted: float
    """p-value corrected for the suites and variants together by Holm's method."""

    @property
    def difference(self) -> float:
        """Metric in the domain minus metric out of it."""
        return self.values[IN_DOMAIN] - self.values[OUT_OF_DOMAIN]

    @property
    def interval(self) -> Interval:
        """95% interval of the difference; the two are independent samples."""
        return confidence_intervals.compute_difference_interval(
            (self.values[IN_DOMAIN], self.intervals[IN_DOMAIN]),
            (self.values[OUT_OF_DOMAIN], self.intervals[OUT_OF_DOMAIN]),
        )


def compute_domain_gaps(
    predictions: Mapping[str, Sequence[Prediction]],
    suites: Sequence[MeasuredSuite],
    params: DomainParams,
    seed: int,
) -> dict[str, dict[str, DomainGap]]:
    """Return {variant: {suite: gap}}; suites without records of both kinds are left out."""
    if not params.slice:
        return {}
    gaps = {
        (variant, suite.task): gap
        for variant, rows in predictions.items()
        for suite in suites
        if (gap := _compute_gap(rows, suite, params, seed))
    }
    adjusted = multiple_testing.adjust_p_values([gap.p for gap in gaps.values()])
    result: dict[str, dict[str, DomainGap]] = {variant: {} for variant in predictions}
    for ((variant, task), gap), p in zip(gaps.items(), adjusted, strict=True):
        result[variant][task] = replace(gap, p_adjusted=p)
    return result


def _compute_gap(
    predictions: Sequence[Prediction], suite: MeasuredSuite, params: DomainParams, seed: int
) -> DomainGap | None:
    """Return the gap of the first metric that both kinds of records define; None without one."""
    rows: dict[str, list[Prediction]] = {IN_DOMAIN: [], OUT_OF_DOMAIN: []}
    for row in predictions:
        if row.task == suite.task and row.answer_form and params.slice in row.slices:
            is_out = row.slices[params.slice] in params.out
            rows[OUT_OF_DOMAIN if is_out else IN_DOMAIN].append(row)
    intervals = {
        name: paired_tests.compute_intervals(suite.metrics, part, seed)
        for name, part in rows.items()
    }
    for name in sort_metrics(suite.metrics):
        if all(name in by_metric for by_metric in intervals.values()):
            metric = suite.metrics[name]
            p = _compute_p(metric, rows[IN_DOMAIN], rows[OUT_OF_DOMAIN], seed)
            return DomainGap(
                metric=name,
                records={domain: len(part) for domain, part in rows.items()},
                values={domain: metric.compute(part) for domain, part in rows.items()},
                intervals={domain: by_metric[name] for domain, by_metric in intervals.items()},
                p=p,
                p_adjusted=p,
            )
    return None


def _compute_p(
    metric: Metric, inside: Sequence[Prediction], outside: Sequence[Prediction], seed: int
) -> float:
    if isinstance(metric, ShareMetric):
        counts = [metric.tabulate(part).sum(axis=0).astype(int) for part in (inside, outside)]
        return confidence_intervals.compute_fisher_p(
            *((int(right), int(records)) for right, records in counts)
        )
    if isinstance(metric, InfluenceMetric):
        first, second = (metric.measure(metric.tabulate(part)) for part in (inside, outside))
        standard_error = math.hypot(*first.deviations, *second.deviations)
        records = len(inside) + len(outside)
        difference = first.value - second.value
        return confidence_intervals.compute_normal_p(difference, standard_error, records)
    if not isinstance(metric, ResampledMetric):
        raise TypeError(metric)
    is_inside = np.arange(len(inside) + len(outside)) < len(inside)
    weighted = metric.bind(metric.tabulate([*inside, *outside]))
    return confidence_intervals.compute_two_sample_permutation_p(weighted, is_inside, seed)
