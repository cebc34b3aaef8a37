"""Checks of what is computed from the predictions."""

from collections.abc import Iterator
from typing import Any

from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import EvaluateParams, PrepareParams
from lockstep.metrics.registry import LIKELIHOOD
from lockstep.predictions import SLICES


def check_slices(prepare: PrepareParams, evaluate: EvaluateParams) -> Iterator[str]:
    """Yield a line for each slice that neither a source nor the pipeline itself defines."""
    known = {*SourceNames(prepare.sources).slices, *SLICES}
    if evaluate.retrieval.lengths:
        known.add("depth")
    for name in evaluate.slices:
        if name not in known:
            yield f"evaluate.slices: no source has the slice {name}; {list_known(known)}"


def check_gates(evaluate: EvaluateParams) -> Iterator[str]:
    """Yield a line for each gate on a suite or a metric that is not evaluated."""
    metrics = {suite.task: suite.metrics for suite in evaluate.measured}
    metrics["perplexity"] = [*LIKELIHOOD]
    for gate in evaluate.gates:
        if gate.suite not in metrics:
            yield f"evaluate.gates: no suite {gate.suite}; {list_known(metrics)}"
        elif gate.metric not in metrics[gate.suite]:
            yield (
                f"evaluate.gates: suite {gate.suite} has no metric {gate.metric}; "
                f"{list_known(metrics[gate.suite])}"
            )


def check_report_slices(evaluate: EvaluateParams, report: Any) -> Iterator[str]:
    """Yield a line for each slice of the report that is not evaluated."""
    for name in report.slices:
        if name not in evaluate.slices:
            yield (
                f"report.slices: {name} is not in evaluate.slices; {list_known(evaluate.slices)}"
            )
