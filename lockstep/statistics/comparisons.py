"""The parts of details.json that compare groups of records: domains, and few-shot baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.metrics.suite_metrics import MeasuredSuite, map_few_shot
from lockstep.predictions import Prediction
from lockstep.statistics.details import format_difference, format_interval, round_digits
from lockstep.statistics.domain_gap import DomainGap, DomainParams, compute_domain_gaps
from lockstep.statistics.few_shot_baseline import compute_baselines


def compare_groups(
    predictions: Mapping[str, Sequence[Prediction]],
    suites: Sequence[MeasuredSuite],
    domains: DomainParams,
    seed: int,
) -> dict[str, Any]:
    """Return {"domains": …, "few_shot": …}; each is {} where there is nothing to compare.

    `domains` is {variant: {suite: values}}. `few_shot` is {few-shot suite: {task, metric, and the
    difference of the tuned model without examples minus the base with examples}}.
    """
    gaps = compute_domain_gaps(predictions, suites, domains, seed)
    baselines = compute_baselines(predictions["base"], predictions["merged"], suites, seed)
    tasks = map_few_shot(predictions["base"])
    return {
        "domains": {
            variant: {task: _format_gap(gap) for task, gap in by_suite.items()}
            for variant, by_suite in gaps.items()
        },
        "few_shot": {
            suite: {"task": tasks[suite], "metric": name, **format_difference(difference)}
            for suite, by_metric in baselines.items()
            for name, difference in by_metric.items()
        },
    }


def _format_gap(gap: DomainGap) -> dict[str, Any]:
    return {
        "metric": gap.metric,
        **{
            domain: {
                "records": gap.records[domain],
                "value": round_digits(value),
                "interval": format_interval(gap.intervals[domain]),
            }
            for domain, value in gap.values.items()
        },
        "difference": round_digits(gap.difference),
        "interval": format_interval(gap.interval),
        "p": round_digits(gap.p),
        "p_adjusted": round_digits(gap.p_adjusted),
    }
