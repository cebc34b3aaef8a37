"""The report page and the model card: the values of their templates, and how they are rendered."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from lockstep.metrics.metric_display import MetricDisplay, describe_metric, in_order, size, words
from lockstep.metrics.registry import LIKELIHOOD_METRICS
from lockstep.metrics.suite_metrics import PERPLEXITY
from lockstep.predictions import STEPS, VARIANTS
from lockstep.reporting import gate_conditions, loss_curve, split_gaps, training_settings, verdict
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.statistics.details import Metrics
from lockstep.statistics.paired_tests import Difference

MAX_CHARACTERS = 600
"""Maximum number of characters of a text in an example."""
MAX_LABELS = 40
"""A confusion matrix with more labels is not shown."""
MAX_CONFUSIONS = 8
"""Maximum number of confusions that the page lists."""
WIDE_ANSWER = 24
"""Answers with more characters do not fit side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One metric of one variant, and its change from the variant before."""

    variant: str
    text: str
    """The value, empty if the metric is not defined."""
    bar: float | None
    """Width of the bar, 0 to 100, where the metric has a best value."""
    interval: str = ""
    """The 95% interval."""
    change: str = ""
    judgement: str = ""
    """better, worse, same, chance or untested; empty if there is no change to judge."""
    explanation: str = ""
    """The test of the change in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSection:
    """What the page shows of one suite."""

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
    """Render a template of this folder with everything escaped; an unknown name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        clip=clip, markdown=markdown, percent="{:.1%}".format, size=size, words=words
    )
    return environment.get_template(name).render(values)


def template_values(
    results: EvaluationResults,
    summaries: Mapping[str, Metrics],
    log: Sequence[dict[str, Any]],
    settings: Metrics,
) -> dict[str, Any]:
    """Return the values of both templates.

    `summaries` are the other stages' own summaries by folder, `log` is the training log and
    `settings` are the parameters of the stage.
    """
    slices = verdict.slice_rows(results)
    gaps = split_gaps.gap_rows(results)
    quantized = summaries["quantized"]
    return {
        **summaries,
        "settings": settings,
        "variants": VARIANTS,
        "headline": verdict.headline(results, quantized),
        "gates": [
            (
                gate_conditions.describe_condition(gate),
                outcome and gate_conditions.describe_value(outcome),
                outcome,
            )
            for gate, outcome in results.gates
        ],
        "concerns": [
            *gate_conditions.gate_failures(outcome for _, outcome in results.gates),
            *verdict.concerns(results, log, summaries["trained"], summaries["prepared"]),
            *split_gaps.gap_concerns(gaps),
        ],
        "suites": [suite_section(task, results) for task in results.suites],
        "likelihood": [
            (
                describe_metric(name),
                cells(results, PERPLEXITY, name, [results.variants[v].get(name) for v in VARIANTS]),
            )
            for name in LIKELIHOOD_METRICS
            if name in results.variants["merged"]
        ],
        "slices": [
            (row, cells(None, row.task, row.metric, list(row.values.values()))) for row in slices
        ],
        "weakest": verdict.weakest_slice(slices),
        "lm_eval": [
            (task, name, [results.details["lm_eval"][v][task].get(name) for v in VARIANTS])
            for task, metrics in results.details["lm_eval"]["merged"].items()
            for name in metrics
        ],
        "split_gaps": gaps,
        "robustness": [
            (task, name, [results.variants[v][task]["robustness"][name] for v in VARIANTS])
            for task, metrics in results.suites.items()
            for name in metrics.get("robustness", {})
        ],
        "judge": results.details["judge"],
        "human": results.details["human"],
        "display": describe_metric,
        "mistakes": mistakes,
        "unexpected": unexpected_labels,
        "thousands": "{:,}".format,
        "max_labels": MAX_LABELS,
        "max_confusions": MAX_CONFUSIONS,
        "bits": verdict.BITS[quantized["method"]],
        "curve": loss_curve.draw(log),
        "training": training_settings.settings(settings["train"]),
        "loader": training_settings.loader(summaries["trained"]["objective"]),
    }


def suite_section(task: str, results: EvaluationResults) -> SuiteSection:
    """Collect what the page shows of one suite."""
    metrics = results.suites[task]
    facts = results.details["suites"][task]
    return SuiteSection(
        task=task,
        records=metrics["records"],
        rows=[
            (
                describe_metric(name),
                cells(
                    results,
                    task,
                    name,
                    [results.variants[v][task]["overall"].get(name) for v in VARIANTS],
                ),
            )
            for name in in_order(metrics["overall"])
        ],
        changes=results.details["changes"][task],
        examples=results.details["examples"][task],
        graded=facts["graded"],
        wide=facts["longest_reference"] > WIDE_ANSWER,
        confusion=metrics.get("confusion"),
    )


def cells(
    results: EvaluationResults | None, task: str, name: str, values: Sequence[float | None]
) -> list[Cell]:
    """Return a cell for each variant; with results, also how certain value and change are."""
    display, steps = describe_metric(name), [None, *STEPS]
    row = []
    for index, (variant, value) in enumerate(zip(VARIANTS, values, strict=True)):
        if value is None:
            row.append(Cell(variant=variant, text="", bar=None))
            continue
        step, before = steps[index], values[index - 1] if index else None
        interval = results.interval(variant, task, name) if results else None
        test = results.differences[step].get(task, {}).get(name) if results and step else None
        bar = round(100 * min(1.0, max(0.0, value / display.top)), 1) if display.top else None
        row.append(
            Cell(
                variant=variant,
                text=display.show(value),
                bar=bar,
                interval=(
                    f"{display.show(interval.low)} – {display.show(interval.high)}"
                    if interval
                    else ""
                ),
                change=display.change(before, value) if before is not None else "",
                judgement=_judge(display, before, value, test) if before is not None else "",
                explanation=_explain(display, test) if test else "",
            )
        )
    return row


def mistakes(confusion: dict[str, dict[str, int]]) -> list[tuple[str, str, int, int]]:
    """Return (reference, prediction, count, records of the reference), most frequent first."""
    rows = [
        (reference, prediction, count, sum(row.values()))
        for reference, row in confusion.items()
        for prediction, count in row.items()
        if reference != prediction
    ]
    return sorted(rows, key=lambda item: (-item[2], item[3], item[0], item[1]))


def unexpected_labels(confusion: dict[str, dict[str, int]]) -> list[str]:
    """Return the predictions that are no record's reference, sorted."""
    predictions = {prediction for row in confusion.values() for prediction in row}
    return sorted(predictions - confusion.keys())


def clip(text: str) -> str:
    """Return the beginning of a long text, and its length."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}… ({len(text):,} characters)"


def markdown(text: str) -> Markup:
    """Escape a text so that Markdown shows it as it is within a line, HTML included."""
    return Markup(re.sub(r"([\\`*_\[\]|~])", r"\\\1", str(escape(text))))  # noqa: S704


def _judge(display: MetricDisplay, before: float, after: float, test: Difference | None) -> str:
    if display.difference(before, after) == 0:
        return "same"
    if test is None:
        return "untested"
    if test.could_be_chance:
        return "chance"
    return "better" if display.is_better(before, after) else "worse"


def _explain(display: MetricDisplay, test: Difference) -> str:
    ends = f"{display.step(test.interval.low)} to {display.step(test.interval.high)}"
    smallest = ""
    if test.detectable is not None:
        smallest = f"; smallest detectable change: {display.step(test.detectable).lstrip('+')}"
    return f"95% interval of the change: {ends}; corrected p {test.adjusted:.2g}{smallest}"
