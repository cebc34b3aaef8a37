"""Confidence intervals of each variant's metrics, and paired differences between variants."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lockstep.metrics.aggregation import Table
from lockstep.metrics.suite_metrics import (
    MeasuredSuite,
    PredictionGroup,
    group_by_suite,
    select_records,
)
from lockstep.predictions import Prediction
from lockstep.statistics import paired_tests
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference

SIZES = "quantize"
"""Suite of the gates on the size of the quantized weights."""

Sizes = Mapping[str, Mapping[str, float]]
"""Variant -> `bytes` of its weights, and their `ratio` to the bytes of the merged weights."""


class Evidence:
    """Statistics over the predictions of several variants; each is computed on first use.

    All variants answered the same records, in the same order.
    """

    def __init__(
        self,
        predictions: Mapping[str, Sequence[Prediction]],
        suites: Sequence[MeasuredSuite],
        seed: int,
        sizes: Sizes = MappingProxyType({}),
    ) -> None:
        """Group the predictions of each variant by suite; `seed` determines the resampling."""
        self.sizes = sizes
        self.groups = {
            variant: group_by_suite(rows, suites) for variant, rows in predictions.items()
        }
        self.seed = seed
        self._tables: dict[str, dict[str, dict[str, Table]]] = {}
        self._intervals: dict[str, dict[str, dict[str, Interval]]] = {}
        self._differences: dict[tuple[str, str], dict[str, dict[str, Difference]]] = {}

    def compute_metric(self, variant: str, suite: str, metric: str) -> float | None:
        """Return the value of a metric; None if it is not measured."""
        if suite == SIZES:
            return self.sizes.get(variant, {}).get(metric)
        for group in self.groups[variant]:
            if group.task == suite and metric in group.metrics:
                return group.metrics[metric].compute(group.predictions)
        return None

    def compute_intervals(self, variant: str) -> dict[str, dict[str, Interval]]:
        """Return {suite: {metric: interval}} of a variant."""
        if not self._intervals:
            self._intervals = {name: {} for name in self.groups}
            for task, groups in self._group_by_task().items():
                everything = {name: range(len(part.predictions)) for name, part in groups.items()}
                for name, intervals in self._compute_selected(groups, everything).items():
                    self._intervals[name][task] = intervals
        return self._intervals[variant]

    def compute_slice_intervals(
        self, slices: Sequence[str]
    ) -> dict[str, dict[str, dict[str, dict[str, dict[str, Interval]]]]]:
        """Return {variant: {suite: {slice: {value: {metric: interval}}}}}."""
        result: dict[str, Any] = {variant: {} for variant in self.groups}
        for task, groups in self._group_by_task().items():
            for variant in groups:
                result[variant][task] = {name: {} for name in slices}
            for name in slices:
                positions = {variant: part.find_slices(name) for variant, part in groups.items()}
                for value in sorted(set().union(*positions.values())):
                    selected = {v: part[value] for v, part in positions.items() if value in part}
                    for variant, intervals in self._compute_selected(groups, selected).items():
                        result[variant][task][name][value] = intervals
        return result

    def _group_by_task(self) -> dict[str, dict[str, PredictionGroup]]:
        """Return {suite: {variant: group}}."""
        result: dict[str, dict[str, PredictionGroup]] = {}
        for variant, groups in self.groups.items():
            for group in groups:
                result.setdefault(group.task, {})[variant] = group
        return result

    def _compute_selected(
        self, groups: Mapping[str, PredictionGroup], positions: Mapping[str, Sequence[int]]
    ) -> dict[str, dict[str, Interval]]:
        """Return {variant: {metric: interval}} on the records at these positions.

        Variants with the same number of records share the resamples, which saves time.
        """
        result: dict[str, dict[str, Interval]] = {}
        for records in {len(selected) for selected in positions.values()}:
            tables = {
                variant: select_records(self._tabulate(variant, groups[variant]), selected)
                for variant, selected in positions.items()
                if len(selected) == records
            }
            metrics = groups[next(iter(tables))].metrics
            result |= paired_tests.compute_variant_intervals(metrics, tables, records, self.seed)
        return result

    def _tabulate(self, variant: str, group: PredictionGroup) -> dict[str, Table]:
        tables = self._tables.setdefault(variant, {})
        if group.task not in tables:
            tables[group.task] = group.tabulate()
        return tables[group.task]

    def compute_differences(self, before: str, after: str) -> dict[str, dict[str, Difference]]:
        """Return {suite: {metric: difference}}; p-values are not corrected for multiple tests."""
        if (before, after) not in self._differences:
            groups = {group.task: group for group in self.groups[before]}
            self._differences[before, after] = {
                group.task: paired_tests.compute_differences(
                    group.metrics,
                    groups[group.task].predictions,
                    group.predictions,
                    self.seed,
                )
                for group in self.groups[after]
                if group.task in groups
            }
        return self._differences[before, after]
