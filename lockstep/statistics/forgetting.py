"""Forgetting: the loss of the tuned model against its base on test records of earlier rounds.

In continual learning the base is the model that learnt the rounds before. The forgetting of a task
is the best value of its metric under any earlier model minus the value under the new one (Chaudhry
et al., Riemannian walk for incremental learning, 2018, equation 3); the base is the only earlier
model here. The average over the tasks is minus the backward transfer of Lopez-Paz and Ranzato
(Gradient episodic memory for continual learning, 2017), measured from the base.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lockstep.metrics.metric_display import describe_metric, sort_metrics
from lockstep.metrics.suite_metrics import MeasuredSuite
from lockstep.predictions import ZERO_SHOT, Prediction
from lockstep.statistics import paired_tests
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.details import format_difference, format_interval, round_digits
from lockstep.statistics.paired_tests import Difference

OLD, NEW = "old", "new"
"""Records of earlier rounds, and of the last round."""

Pairs = tuple[list[Prediction], list[Prediction]]
"""Predictions of the base and of the tuned model on the same records."""


def compute_forgetting(
    base: Sequence[Prediction],
    merged: Sequence[Prediction],
    suites: Sequence[MeasuredSuite],
    sources: Mapping[str, str],
    rounds: Mapping[str, int],
    seed: int,
) -> dict[str, Any]:
    """Return {"old": {suite: values}, "new": …, "average": …}; {} if all sources are of one round.

    `base` and `merged` answered the same records in the same order. `sources` maps the id of a
    test record to its source, and `rounds` each source to its round. The values are those of the
    main metric of the suite: before, after, and the difference with its paired test, corrected for
    the suites together. `average` is the mean forgetting on old records over the suites whose
    metric is a share.
    """
    last = max(rounds.values(), default=0)
    if not last:
        return {}
    test_rounds = {record_id: rounds[source] for record_id, source in sources.items()}
    parts = {
        name: _compare_suites(
            [
                (suite, _select_pairs(base, merged, suite.task, test_rounds, is_counted))
                for suite in suites
            ],
            seed,
        )
        for name, is_counted in ((OLD, last.__gt__), (NEW, last.__eq__))
    }
    average = _average_forgetting([*_list_shares(parts[OLD])])
    return {**parts, **({"average": average} if average else {})}


def compute_loss(values: Mapping[str, Any]) -> tuple[float, Interval]:
    """Return the forgetting of a suite and its interval; it is positive after a loss."""
    low, high = values["interval"]
    if describe_metric(values["metric"]).lower_is_better:
        return values["difference"], Interval(low, high)
    return -values["difference"], Interval(-high, -low)


def _select_pairs(
    base: Sequence[Prediction],
    merged: Sequence[Prediction],
    task: str,
    rounds: Mapping[str, int],
    is_counted: Callable[[int], bool],
) -> Pairs:
    """Return the predictions on the records of a task whose round counts."""
    pairs = [
        (before, after)
        for before, after in zip(base, merged, strict=True)
        if after.task == task
        and after.answer_form
        and ZERO_SHOT not in after.slices
        and after.id in rounds
        and is_counted(rounds[after.id])
    ]
    return [before for before, _ in pairs], [after for _, after in pairs]


def _compare_suites(
    suites: Sequence[tuple[MeasuredSuite, Pairs]], seed: int
) -> dict[str, dict[str, Any]]:
    """Return the values of each suite of which a metric is defined."""
    differences = {suite.task: _compare_main_metric(suite, pairs, seed) for suite, pairs in suites}
    adjusted = paired_tests.adjust_differences({"": differences})[""]
    return {
        suite.task: {
            "metric": name,
            "before": round_digits(suite.metrics[name].compute(before)),
            "after": round_digits(suite.metrics[name].compute(after)),
            **format_difference(difference),
        }
        for suite, (before, after) in suites
        for name, difference in adjusted[suite.task].items()
    }


def _compare_main_metric(suite: MeasuredSuite, pairs: Pairs, seed: int) -> dict[str, Difference]:
    """Return the difference of the first metric that is defined on these records."""
    for name in sort_metrics(suite.metrics):
        metrics = {name: suite.metrics[name]}
        if differences := paired_tests.compute_differences(metrics, *pairs, seed):
            return differences
    return {}


def _list_shares(suites: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[float, Interval]]:
    for values in suites.values():
        if describe_metric(values["metric"]).percent:
            yield compute_loss(values)


def _average_forgetting(losses: Sequence[tuple[float, Interval]]) -> dict[str, Any]:
    """Return the mean and its interval from those of independent suites (Zou and Donner, 2008)."""
    if not losses:
        return {}
    number = len(losses)
    mean = sum(value for value, _ in losses) / number
    low = math.hypot(*(value - interval.low for value, interval in losses)) / number
    high = math.hypot(*(interval.high - value for value, interval in losses)) / number
    return {
        "suites": number,
        "forgetting": round_digits(mean),
        "interval": format_interval(Interval(mean - low, mean + high)),
    }
