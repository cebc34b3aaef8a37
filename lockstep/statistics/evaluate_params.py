"""The section `evaluate` of params.yaml: metrics, slices, and the gates of a model."""

from typing import Any

from pydantic import field_validator

from lockstep.data import json_schemas
from lockstep.params import NaturalInt, Section
from lockstep.statistics.domain_gap import DomainParams
from lockstep.statistics.gates import Gate
from lockstep.statistics.leaks import LeakParams


class EvaluateParams(Section):
    """Metrics that are computed from the predictions; a change does not run the model again."""

    metrics: dict[str, list[str]]
    """Task -> names of its metrics; other tasks have the default metrics of their answer form."""
    slices: list[str]
    """Slices by which every metric is broken down; [] takes all slices of the records."""
    gates: list[Gate]
    """Conditions that a model must meet to ship; `make review` fails if one is not met."""
    json_schemas: dict[str, dict[str, Any]] = {}
    """Task -> JSON Schema of its JSON answers; adds the metric schema_valid."""
    summary_slices: list[str] = []
    """Slices by which reports/metrics.json breaks down the main metric of each suite; those that no
    record has are left out. reports/details.json has all slices."""
    domains: DomainParams = DomainParams()
    """Slice by which the main metrics in and out of the domain are compared."""
    leaks: LeakParams = LeakParams()
    """Texts that count as a leak in a generated answer."""
    examples: NaturalInt = 6
    """Number of test records of each suite that the report shows with the answers of all
    variants."""

    @field_validator("metrics")
    @classmethod
    def _check_repeated_names(cls, metrics: dict[str, list[str]]) -> dict[str, list[str]]:
        for task, names in metrics.items():
            if len({*names}) < len(names):
                raise ValueError(f"{task}: a metric is named twice; name each once")
        return metrics

    @field_validator("json_schemas")
    @classmethod
    def _check_schemas(cls, schemas: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for task, schema in schemas.items():
            try:
                json_schemas.check_schema(schema)
            except ValueError as error:
                raise ValueError(f"{task}: {error}") from None
        return schemas
