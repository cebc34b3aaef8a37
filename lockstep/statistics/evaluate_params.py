"""The section `evaluate` of params.yaml: metrics, slices, and the gates of a model."""

from typing import Any

from lockstep.params import NaturalInt, Section
from lockstep.statistics.gates import Gate


class EvaluateParams(Section):
    """Which metrics are computed from the predictions; a change asks no model again."""

    metrics: dict[str, list[str]]
    """Task -> names of its metrics; a task that is left out has the default metrics of its answer
    form."""
    slices: list[str]
    """Slices by which every metric is broken down; [] takes all slices of the records."""
    gates: list[Gate]
    """Conditions that a model must meet to ship; `make gates` fails if one is not met."""
    json_schemas: dict[str, dict[str, Any]] = {}
    """Task -> JSON Schema for its JSON answers; adds the metric schema_valid."""
    summary_slices: list[str] = []
    """Slices by which the main metric of a suite is broken down in reports/metrics.json as well;
    reports/details.json has all slices."""
    examples: NaturalInt = 6
    """Number of test records of each suite that the report shows with the answers of all
    variants."""
