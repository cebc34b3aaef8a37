"""What the answers of all variants prove of their figures: intervals and paired differences."""

from collections.abc import Mapping, Sequence

from lockstep.metrics.suite_metrics import measured
from lockstep.metrics.suites import Suite
from lockstep.predictions import Prediction
from lockstep.statistics import paired_tests
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.paired_tests import Difference


class Evidence:
    """Of predictions by variant, on the same records in one order; computed when asked for."""

    def __init__(
        self, answers: Mapping[str, Sequence[Prediction]], suites: Sequence[Suite], seed: int
    ) -> None:
        self.parts = {name: measured(rows, suites) for name, rows in answers.items()}
        self.seed = seed
        self._intervals: dict[str, dict[str, dict[str, Interval]]] = {}
        self._differences: dict[tuple[str, str], dict[str, dict[str, Difference]]] = {}

    def intervals(self, variant: str) -> dict[str, dict[str, Interval]]:
        """{suite: {figure: interval}} of a variant."""
        if variant not in self._intervals:
            self._intervals[variant] = {
                part.task: paired_tests.intervals(part.metrics, part.rows, self.seed)
                for part in self.parts[variant]
            }
        return self._intervals[variant]

    def slices(
        self, variant: str, names: Sequence[str]
    ) -> dict[str, dict[str, dict[str, dict[str, Interval]]]]:
        """{suite: {slice: {value: {figure: interval}}}} of a variant."""
        return {
            part.task: {
                name: {
                    value: paired_tests.intervals(part.metrics, rows, self.seed)
                    for value, rows in part.by_slice(name).items()
                }
                for name in names
            }
            for part in self.parts[variant]
        }

    def figure(self, variant: str, suite: str, metric: str) -> float | None:
        """The figure itself; None where it is not measured."""
        for part in self.parts[variant]:
            if part.task == suite and metric in part.metrics:
                return part.metrics[metric].figure(part.rows)
        return None

    def differences(self, before: str, after: str) -> dict[str, dict[str, Difference]]:
        """{suite: {figure: difference}}, p not corrected."""
        if (before, after) not in self._differences:
            pairs = {part.task: part for part in self.parts[before]}
            self._differences[before, after] = {
                part.task: paired_tests.differences(
                    part.metrics, pairs[part.task].rows, part.rows, self.seed
                )
                for part in self.parts[after]
                if part.task in pairs
            }
        return self._differences[before, after]
