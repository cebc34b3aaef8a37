"""The report page and the model card: collect the values of the templates and render them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from lockstep.metrics.metric_display import (
    MetricDisplay,
    describe_metric,
    format_bytes,
    sort_metrics,
    spell_out,
)
from lockstep.metrics.registry import LIKELIHOOD_METRICS
from lockstep.metrics.suite_metrics import PERPLEXITY
from lockstep.predictions import STEPS, VARIANTS
from lockstep.reporting import (
    comparison_tables,
    gate_conditions,
    loss_curve,
    split_gaps,
    training_settings,
    verdict,
)
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.statistics.details import Metrics
from lockstep.statistics.paired_tests import Difference

MAX_CHARACTERS = 600
"""Maximum number of characters of a text in an example."""
MAX_LABELS = 40
"""Maximum number of labels of a confusion matrix on the page."""
MAX_CONFUSIONS = 8
"""Maximum number of confusions that the page lists."""
WIDE_ANSWER = 24
"""Maximum number of characters of answers that fit side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Value of a metric for one variant, and its change from the variant before."""

    variant: str
    text: str
    """The formatted value; empty if the metric is not defined."""
    bar: float | None
    """Width of the bar in percent; None if the metric has no best value."""
    interval: str = ""
    """The 95% interval."""
    change: str = ""
    judgement: str = ""
    """better, worse, same, chance or untested; empty if there is no change to judge."""
    explanation: str = ""
    """The test of the change in words."""


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


def render(name: str, values: dict[str, Any]) -> str:
    """Render a template of this folder. All values are escaped, and an unknown name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        clip=clip,
        markdown=escape_markdown,
        percent="{:.1%}".format,
        size=format_bytes,
        words=spell_out,
    )
    return environment.get_template(name).render(values)


def collect_values(
    results: EvaluationResults,
    summaries: Mapping[str, Metrics],
    log: Sequence[dict[str, Any]],
    settings: Metrics,
) -> dict[str, Any]:
    """Return the values of both templates.

    `summaries` are the other stages' own summaries by folder, `log` is the training log and
    `settings` are the parameters of the stage.
    """
    slices = verdict.list_slices(results)
    gaps = split_gaps.list_gaps(results)
    quantized = summaries["quantized"]
    return {
        **summaries,
        "settings": settings,
        "variants": VARIANTS,
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
            *verdict.list_concerns(results, log, summaries["trained"], summaries["prepared"]),
            *split_gaps.describe_gaps(gaps),
            *comparison_tables.list_concerns(results),
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
        "weakest": verdict.find_weakest_slice(slices),
        "split_gaps": [(task, [*rows]) for task, rows in groupby(gaps, key=lambda row: row.task)],
        **comparison_tables.collect_tables(results),
        "judge": results.details["judge"],
        "human": results.details["human"],
        "display": describe_metric,
        "mistakes": list_mistakes,
        "unexpected": list_unexpected_labels,
        "thousands": "{:,}".format,
        "max_labels": MAX_LABELS,
        "max_confusions": MAX_CONFUSIONS,
        "form": verdict.FORMS[quantized["method"]],
        "curve": loss_curve.draw_curve(log),
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


def build_cells(
    results: EvaluationResults | None, task: str, name: str, values: Sequence[float | None]
) -> list[Cell]:
    """Return a cell for each variant; with results, also the intervals and tests of its change."""
    display, steps = describe_metric(name), [None, *STEPS]
    row = []
    for index, (variant, value) in enumerate(zip(VARIANTS, values, strict=True)):
        if value is None:
            row.append(Cell(variant=variant, text="", bar=None))
            continue
        step, before = steps[index], values[index - 1] if index else None
        interval = results.get_interval(variant, task, name) if results else None
        test = results.differences[step].get(task, {}).get(name) if results and step else None
        bar = round(100 * min(1.0, max(0.0, value / display.top)), 1) if display.top else None
        row.append(
            Cell(
                variant=variant,
                text=display.format(value),
                bar=bar,
                interval=(
                    f"{display.format(interval.low)} – {display.format(interval.high)}"
                    if interval
                    else ""
                ),
                change=display.format_change(before, value) if before is not None else "",
                judgement=_judge_change(display, before, value, test) if before is not None else "",
                explanation=_explain_test(display, test) if test else "",
            )
        )
    return row


def list_mistakes(confusion: dict[str, dict[str, int]]) -> list[tuple[str, str, int, int]]:
    """Return (reference, prediction, count, records of the reference), most frequent first."""
    rows = [
        (reference, prediction, count, sum(row.values()))
        for reference, row in confusion.items()
        for prediction, count in row.items()
        if reference != prediction
    ]
    return sorted(rows, key=lambda item: (-item[2], item[3], item[0], item[1]))


def list_unexpected_labels(confusion: dict[str, dict[str, int]]) -> list[str]:
    """Return the predictions that are no record's reference, sorted."""
    predictions = {prediction for row in confusion.values() for prediction in row}
    return sorted(predictions - confusion.keys())


def clip(text: str) -> str:
    """Return a text, or the beginning of a long text with its length."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}… ({len(text):,} characters)"


def escape_markdown(text: str) -> Markup:
    """Escape HTML and Markdown in a text, so that a line of Markdown shows it literally."""
    return Markup(re.sub(r"([\\`*_\[\]|~])", r"\\\1", str(escape(text))))  # noqa: S704


def _collect_splits(summaries: Mapping[str, Metrics]) -> list[tuple[str, list[int]]]:
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
        ("all tasks", [split["records"] for split in splits]),
        *((spell_out(task), [split["tasks"].get(task, 0) for split in splits]) for task in tasks),
    ]


def _judge_change(
    display: MetricDisplay, before: float, after: float, test: Difference | None
) -> str:
    if display.compute_change(before, after) == 0:
        return "same"
    if test is None:
        return "untested"
    if test.could_be_chance:
        return "chance"
    return "better" if display.is_better(before, after) else "worse"


def _explain_test(display: MetricDisplay, test: Difference) -> str:
    low, high = test.interval.low, test.interval.high
    ends = f"{display.format_difference(low)} to {display.format_difference(high)}"
    smallest = ""
    if test.detectable is not None:
        detectable = display.format_difference(test.detectable).lstrip("+")
        smallest = f"; smallest detectable change: {detectable}"
    return f"95% interval of the change: {ends}; corrected p {test.p_adjusted:.2g}{smallest}"
