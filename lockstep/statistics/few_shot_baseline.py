"""The tuned model without examples compared with the base that sees examples in its prompt."""

from collections.abc import Mapping, Sequence

from lockstep.metrics.aggregation import Metric
from lockstep.metrics.metric_display import sort_metrics
from lockstep.metrics.suite_metrics import MeasuredSuite, map_few_shot
from lockstep.predictions import ZERO_SHOT, Prediction
from lockstep.statistics import paired_tests
from lockstep.statistics.paired_tests import Difference


def compute_baselines(
    base: Sequence[Prediction],
    merged: Sequence[Prediction],
    suites: Sequence[MeasuredSuite],
    seed: int,
) -> dict[str, dict[str, Difference]]:
    """Return {few-shot suite: {main metric: difference}} on the same records.

    The difference is that of the merged model without examples minus the base with examples. Its
    p-values are corrected for the few-shot suites together.
    """
    zero_shot = {row.id: row for row in merged if ZERO_SHOT not in row.slices}
    by_task = {suite.task: suite for suite in suites}
    differences = {}
    for name, task in map_few_shot(base).items():
        before = [row for row in base if row.task == name and row.answer_form]
        after = [zero_shot[row.slices[ZERO_SHOT]] for row in before]
        metrics = _select_shared(by_task[name], by_task[task])
        differences[name] = paired_tests.compute_differences(metrics, before, after, seed)
    return paired_tests.adjust_differences({"": differences})[""]


def _select_shared(few_shot: MeasuredSuite, suite: MeasuredSuite) -> Mapping[str, Metric]:
    """Return the main metric among those that both suites have."""
    shared = [name for name in sort_metrics(suite.metrics) if name in few_shot.metrics]
    return {name: suite.metrics[name] for name in shared[:1]}
