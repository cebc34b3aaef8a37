"""Collect the values of the templates of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lockstep.metrics.metric_display import (
    MetricDisplay,
    describe_metric,
    sort_metrics,
)
from lockstep.metrics.registry import LIKELIHOOD_METRICS
from lockstep.metrics.suite_metrics import PERPLEXITY
from lockstep.predictions import VARIANTS
from lockstep.reporting import (
    comparison_tables,
    concerns,
    forgetting_table,
    gate_conditions,
    page_charts,
    split_gaps,
    training_settings,
    verdict,
    weak_slices,
)
from lockstep.reporting.advice.collected_advice import collect_advice
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_cells import Cell, build_cells, list_tests
from lockstep.reporting.metric_texts import format_difference, name_task
from lockstep.reporting.texts import Text, translate_term
from lockstep.statistics.details import Metrics

SECTIONS = {
    "advice": "What to try next",
    "gates": "Gates",
    "results": "Results",
    "slices": "Slices",
    "comparisons": "Comparisons",
    "ratings": "Ratings",
    "confusions": "Confusions",
    "probabilities": "Probabilities",
    "training": "Training",
    "data": "Data",
    "examples": "Examples",
    "lineage": "Lineage",
}
"""Section of the page, which is a template in parts/ -> its heading; an empty one is left out."""
MAX_CONFUSIONS = 8
"""Maximum number of confusions that the page lists."""
WIDE_ANSWER = 24
"""Maximum number of characters of answers that fit side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSection:
    """The part of the page about one suite."""

    task: str
    records: int
    rows: list[tuple[MetricDisplay, list[Cell]]]
    """Each metric with a cell for each variant."""
    changes: Metrics
    """Step -> number of answers that got better and worse."""
    examples: list[Metrics]
    graded: bool
    """Whether answers are closer to or further from the reference, not right or wrong."""
    wide: bool
    """Whether answers are too long to stand side by side."""
    confusion: dict[str, dict[str, int]] | None


def collect_values(
    results: EvaluationResults,
    summaries: Mapping[str, Metrics],
    log: Sequence[dict[str, Any]],
    settings: Metrics,
) -> dict[str, Any]:
    """Return the values of the templates.

    `summaries` are the other stages' own summaries by folder, `log` is the training log and
    `settings` are the parameters of the stage.
    """
    slices = weak_slices.list_slices(results)
    gaps = split_gaps.list_gaps(results)
    quantized = summaries["quantized"]
    tables = comparison_tables.collect_tables(results)
    return {
        **summaries,
        "settings": settings,
        "sections": SECTIONS,
        "variants": VARIANTS,
        "decision": verdict.decide(results),
        "headline": verdict.write_headline(results, quantized),
        "gates": [
            (
                gate_conditions.describe_condition(gate),
                outcome and gate_conditions.describe_value(outcome),
                outcome,
            )
            for gate, outcome in results.gates
        ],
        "concerns": [
            *gate_conditions.describe_failures(outcome for _, outcome in results.gates),
            *concerns.list_concerns(results, summaries["trained"], summaries["prepared"]),
            *split_gaps.describe_gaps(gaps),
            *comparison_tables.list_concerns(results),
            *forgetting_table.list_concerns(results),
        ],
        "suites": [build_suite_section(task, results) for task in results.suites],
        "likelihood": [
            (
                describe_metric(name),
                build_cells(
                    results, PERPLEXITY, name, [results.variants[v].get(name) for v in VARIANTS]
                ),
            )
            for name in LIKELIHOOD_METRICS
            if name in results.variants["merged"]
        ],
        "slices": [
            (task, [(row, build_cells(None, task, row.metric, row.values)) for row in rows])
            for task, rows in groupby(slices, key=lambda row: row.task)
        ],
        "weakest": weak_slices.find_weakest_slice(slices),
        "split_gaps": [(task, [*rows]) for task, rows in groupby(gaps, key=lambda row: row.task)],
        **tables,
        "findings": [*forgetting_table.describe_forgetting(results), *tables["findings"]],
        "forgetting": forgetting_table.build_forgetting_table(results),
        "replay": forgetting_table.describe_replay(summaries["augmented"]),
        "judge": results.details["judge"],
        "human": results.details["human"],
        "display": describe_metric,
        "mistakes": list_mistakes,
        "difference": format_difference,
        "thousands": "{:,}".format,
        "max_confusions": MAX_CONFUSIONS,
        "form": verdict.FORMS[quantized["method"]],
        "tests": list_tests(results),
        "charts": page_charts.draw_charts(results, summaries, log, slices),
        "advice": collect_advice(results, summaries, log, settings),
        "training": training_settings.list_settings(settings["train"]),
        "loader": training_settings.get_loader_name(summaries["trained"]["objective"]),
        "splits": _collect_splits(summaries),
    }


def build_suite_section(task: str, results: EvaluationResults) -> SuiteSection:
    """Collect the metrics, changes and examples of one suite."""
    metrics = results.suites[task]
    facts = results.details["suites"][task]
    return SuiteSection(
        task=task,
        records=metrics["records"],
        rows=[
            (
                describe_metric(name),
                build_cells(
                    results,
                    task,
                    name,
                    [results.variants[v][task]["overall"].get(name) for v in VARIANTS],
                ),
            )
            for name in sort_metrics(metrics["overall"])
        ],
        changes=results.details["changes"][task],
        examples=results.details["examples"][task],
        graded=facts["graded"],
        wide=facts["longest_reference"] > WIDE_ANSWER,
        confusion=metrics.get("confusion"),
    )


def list_mistakes(confusion: dict[str, dict[str, int]]) -> list[tuple[str, str, int, int]]:
    """Return (reference, prediction, count, records of the reference), most frequent first."""
    rows = [
        (reference, prediction, count, sum(row.values()))
        for reference, row in confusion.items()
        for prediction, count in row.items()
        if reference != prediction
    ]
    return sorted(rows, key=lambda item: (-item[2], item[3], item[0], item[1]))


def _collect_splits(summaries: Mapping[str, Metrics]) -> list[tuple[Text, list[int]]]:
    """Return (task, its records in each split and after augmentation); all tasks come first."""
    prepared = summaries["prepared"]["splits"]
    splits = (
        prepared["train"],
        summaries["augmented"]["train"],
        prepared["validation"],
        prepared["test"],
    )
    tasks = dict.fromkeys(task for split in splits for task in split["tasks"])
    return [
        (translate_term("all tasks"), [split["records"] for split in splits]),
        *((name_task(task), [split["tasks"].get(task, 0) for split in splits]) for task in tasks),
    ]
