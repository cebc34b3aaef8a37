"""Checks of the section `evaluate`."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from lockstep import params
from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import EvaluateParams, PredictParams, PrepareParams
from lockstep.metrics.registry import DEFAULT_METRICS, LIKELIHOOD_METRICS, METRICS
from lockstep.params import Section
from lockstep.predictions import COMMON_SLICES
from lockstep.statistics.evidence import SIZES
from lockstep.suites import RETRIEVAL


class _DomainSection(Section):
    """The section of params.yaml that `list_notes` reads."""

    evaluate: EvaluateParams


def check_slices(
    prepare: PrepareParams, predict: PredictParams, evaluate: EvaluateParams
) -> Iterator[str]:
    """Yield a line for each slice that neither a source nor the pipeline itself defines."""
    known = {*SourceNames(prepare.sources).slices, *COMMON_SLICES}
    if predict.retrieval.lengths:
        known |= {"depth", "language"}
    for name in evaluate.slices:
        if name not in known:
            yield f"evaluate.slices: no source has the slice {name}; {list_known(known)}"


def check_domains(prepare: PrepareParams, evaluate: EvaluateParams) -> Iterator[str]:
    """Yield a line if the slice of the domains is that of no source, but resembles one.

    The sample's value must not stand in the way of other data: `list_notes` names a slice that
    resembles none.
    """
    name = evaluate.domains.slice
    known = {*SourceNames(prepare.sources).slices, *COMMON_SLICES}
    if name and name not in known and (nearest := difflib.get_close_matches(name, known, n=1)):
        yield f"evaluate.domains: no source has the slice {name}; did you mean {nearest[0]}?"


def list_notes(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a note if no record has the slice of the domains; evaluate runs much later.

    `tasks` is the content of tasks.json.
    """
    name = params.read(_DomainSection).evaluate.domains.slice
    if not name or any(name in (*task["slices"], *COMMON_SLICES) for task in tasks.values()):
        return []
    return [
        f"evaluate.domains: no record has the slice {name}, so evaluate will compare no domains; "
        "correct or remove it"
    ]


def check_metrics(
    prepare: PrepareParams, predict: PredictParams, evaluate: EvaluateParams
) -> Iterator[str]:
    """Yield a line for each task without a suite, and for each metric that a suite cannot have."""
    names = SourceNames(prepare.sources)
    forms = {suite.task: suite.answer for suite in predict.suites} | {RETRIEVAL: "rules"}
    few_shot = {setting.name for setting in predict.few_shot}
    for key in ("metrics", "json_schemas"):
        tasks = [task for task in getattr(evaluate, key) if task not in few_shot]
        for task in names.find_unknown_suites(predict.suites, tasks):
            known = list_known(names.list_suite_tasks(predict.suites))
            yield f"evaluate.{key}: no suite {task}; {known}"
    for task, metrics in evaluate.metrics.items():
        if task not in forms:
            continue  # its answer form follows from the data: evaluate checks it
        known_metrics = {*METRICS[forms[task]]}
        if task in evaluate.json_schemas:
            known_metrics.add("schema_valid")
        for name in metrics:
            if name not in known_metrics:
                yield (
                    f"evaluate.metrics: {task}: {forms[task]} answers have no metric {name}; "
                    f"{list_known(known_metrics)}"
                )


def check_gates(
    prepare: PrepareParams, predict: PredictParams, evaluate: EvaluateParams
) -> Iterator[str]:
    """Yield a line for each gate on a suite or a metric that is not evaluated."""
    names = SourceNames(prepare.sources)
    known_suites = ("perplexity", SIZES, RETRIEVAL, *(setting.name for setting in predict.few_shot))
    suites = [gate.suite for gate in evaluate.gates if gate.suite not in known_suites]
    for task in names.find_unknown_suites(predict.suites, suites):
        known = {*names.list_suite_tasks(predict.suites), *known_suites}
        yield f"evaluate.gates: no suite {task}; {list_known(known)}"
    metrics = {
        suite.task: evaluate.metrics.get(suite.task) or [*DEFAULT_METRICS[suite.answer]]
        for suite in predict.suites
    }
    metrics["perplexity"] = [*LIKELIHOOD_METRICS]
    metrics[SIZES] = ["bytes", "ratio"]
    for gate in evaluate.gates:
        if gate.metric not in metrics.get(gate.suite, [gate.metric]):
            yield (
                f"evaluate.gates: suite {gate.suite} has no metric {gate.metric}; "
                f"{list_known(metrics[gate.suite])}"
            )
