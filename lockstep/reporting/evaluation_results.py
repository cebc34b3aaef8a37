"""Read reports/details.json, which evaluate writes, into the objects that the page shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.predictions import VARIANTS
from lockstep.statistics.confidence_intervals import Interval
from lockstep.statistics.details import Metrics, get_suites
from lockstep.statistics.gates import Gate, GateOutcome
from lockstep.statistics.paired_tests import Difference
from lockstep.statistics.stage_results import read_json

Differences = dict[str, dict[str, dict[str, Difference]]]
"""Step -> suite -> metric -> difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResults:
    """Metrics, comparisons and gates of all variants."""

    details: Metrics
    """The whole content of details.json."""
    variants: dict[str, Metrics]
    """Variant -> its metrics."""
    differences: Differences
    gates: list[tuple[Gate, GateOutcome | None]]
    """Each gate with its outcome; None if it compares with the previous commit."""

    @property
    def suites(self) -> dict[str, Metrics]:
        """Return the suites of the merged variant, in the order of display."""
        return get_suites(self.variants["merged"])

    def get_interval(self, variant: str, suite: str, metric: str) -> Interval | None:
        """Return the interval of a metric; None if it has none."""
        metrics = self.variants[variant]
        intervals = metrics.get(suite, metrics) if isinstance(metrics.get(suite), dict) else metrics
        ends = intervals["intervals"].get(metric)
        return Interval(*ends) if ends else None


def read_results(path: Path) -> EvaluationResults:
    """Read details.json; raise UserError if it is missing or damaged."""
    details = read_json(path)
    return EvaluationResults(
        details=details,
        variants={variant: details[variant] for variant in VARIANTS},
        differences={
            step: {
                task: {name: _parse_difference(values) for name, values in by_metric.items()}
                for task, by_metric in by_suite.items()
            }
            for step, by_suite in details["differences"].items()
        },
        gates=[_parse_gate(values) for values in details["gates"]],
    )


def _parse_difference(values: dict[str, Any]) -> Difference:
    return Difference(
        records=values["records"],
        value=values["difference"],
        interval=Interval(*values["interval"]),
        p=values["p"],
        p_adjusted=values["p_adjusted"],
        detectable=values["detectable"],
    )


def _parse_gate(values: dict[str, Any]) -> tuple[Gate, GateOutcome | None]:
    gate = Gate.model_validate(values["gate"])
    if not values["decided"]:
        return gate, None
    interval = Interval(*values["interval"]) if values["interval"] else None
    return gate, GateOutcome(gate, values["value"], interval)
