"""Confidence intervals of each variant's metrics, and paired differences between variants."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lockstep.metrics.suite_metrics import MeasuredSuite, group_by_suite
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
        if variant not in self._intervals:
            self._intervals[variant] = {
                group.task: paired_tests.compute_intervals(
                    group.metrics, group.predictions, self.seed
                )
                for group in self.groups[variant]
            }
        return self._intervals[variant]

    def compute_slice_intervals(
        self, variant: str, slices: Sequence[str]
    ) -> dict[str, dict[str, dict[str, dict[str, Interval]]]]:
        """Return {suite: {slice: {value: {metric: interval}}}} of a variant."""
        return {
            group.task: {
                name: {
                    value: paired_tests.compute_intervals(group.metrics, rows, self.seed)
                    for value, rows in group.split_by_slice(name).items()
                }
                for name in slices
            }
            for group in self.groups[variant]
        }

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
