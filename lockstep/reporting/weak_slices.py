"""The main metric of each suite on its slices, and the slice where the tuned model is weakest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.metrics.metric_display import describe_metric, sort_metrics, spell_out
from lockstep.predictions import VARIANTS
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.texts import Text, say, translate_term
from lockstep.statistics.details import MIN_RECORDS

_NUMBERED = re.compile(r"(\D*)(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """The main metric of a suite on one of its slices, for all variants."""

    task: str
    name: str
    value: str
    records: int
    metric: str
    overall: float
    """The merged variant's metric over the whole suite."""
    merged: float
    """The merged variant's metric on this slice."""
    values: list[float | None]
    """Metric of each variant on this slice; None where it is not defined."""

    @property
    def title(self) -> Text:
        """Name and value of the slice."""
        return say("{name} {value}", name=translate_term(spell_out(self.name)), value=self.value)


def list_slices(results: EvaluationResults) -> list[SliceRow]:
    """Return each slice that holds a part of a suite, in the order of the suites.

    A slice in which the merged variant's metric is not defined is left out, and so are few-shot
    suites, which repeat the records of others.
    """
    variants = results.variants
    return [
        SliceRow(
            task=task,
            name=name,
            value=value,
            records=part["records"],
            metric=main,
            overall=suite["overall"][main],
            merged=part[main],
            values=[variants[v][task]["slices"][name][value].get(main) for v in VARIANTS],
        )
        for task, suite in results.suites.items()
        if task not in results.details["few_shot"]
        for main in sort_metrics(suite["overall"])[:1]
        for name, parts in suite["slices"].items()
        for value, part in sorted(parts.items(), key=lambda item: _build_natural_sort_key(item[0]))
        if part["records"] < suite["records"] and main in part
    ]


def find_weakest_slice(rows: Sequence[SliceRow]) -> SliceRow | None:
    """Return the slice in which the merged variant is worst compared with its whole suite."""
    deficits = {}
    for index, row in enumerate(rows):
        display = describe_metric(row.metric)
        deficit = row.overall - row.merged
        deficit = -deficit if display.lower_is_better else deficit
        if row.records >= MIN_RECORDS and deficit > 0:
            deficits[index] = deficit / (display.top or abs(row.overall) or 1)
    return rows[max(deficits, key=deficits.__getitem__)] if deficits else None


def _build_natural_sort_key(text: str) -> list[tuple[str, int]]:
    """Return a sort key that orders the numbers in texts by value."""
    return [(letters, int(number or 0)) for letters, number in _NUMBERED.findall(text)]
