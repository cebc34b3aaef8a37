"""Collect the charts of the page from the results of evaluate and the stages' summaries."""

from collections.abc import Mapping, Sequence
from typing import Any

from lockstep.metrics.metric_display import MetricDisplay, describe_metric, sort_metrics
from lockstep.predictions import VARIANTS, Variant
from lockstep.reporting.charts.confusion_chart import draw_confusion_chart
from lockstep.reporting.charts.data_charts import draw_funnel_chart, draw_length_chart
from lockstep.reporting.charts.drawing import Chart, use_style
from lockstep.reporting.charts.interval_chart import IntervalRow, Measurement, draw_interval_chart
from lockstep.reporting.charts.probability_charts import draw_reliability_chart, draw_roc_chart
from lockstep.reporting.charts.training_chart import Log, draw_training_chart
from lockstep.reporting.evaluation_results import EvaluationResults
from lockstep.reporting.metric_texts import name_metric, name_subject, name_task
from lockstep.reporting.texts import say
from lockstep.reporting.weak_slices import SliceRow
from lockstep.statistics.details import Metrics


def draw_charts(
    results: EvaluationResults,
    summaries: Mapping[str, Metrics],
    log: Log,
    slices: Sequence[SliceRow],
) -> dict[str, Any]:
    """Return the charts by name; a chart without data is None."""
    with use_style():
        return _draw_charts(results, summaries, log, slices)


def _draw_charts(
    results: EvaluationResults,
    summaries: Mapping[str, Metrics],
    log: Log,
    slices: Sequence[SliceRow],
) -> dict[str, Any]:
    prepared = summaries["prepared"]
    axis = say("Shares of the best possible value, with 95% intervals.")
    return {
        "metrics": draw_interval_chart(
            "metrics-chart", say("Metrics of all variants"), axis, _list_metric_rows(results)
        ),
        "slices": draw_interval_chart(
            "slices-chart", say("Main metric on slices"), axis, _list_slice_rows(results, slices)
        ),
        "confusion": {
            task: draw_confusion_chart(task, suite["confusion"])
            for task, suite in results.suites.items()
            if suite.get("confusion")
        },
        "probabilities": _draw_probabilities(results),
        "training": draw_training_chart(log),
        "funnel": draw_funnel_chart(prepared, summaries["augmented"]["children"]),
        "lengths": draw_length_chart(prepared["splits"]),
    }


def _draw_probabilities(results: EvaluationResults) -> list[Chart]:
    charts = [
        draw(task, curves)
        for task, curves in results.details["curves"].items()
        for draw in (draw_roc_chart, draw_reliability_chart)
    ]
    return [chart for chart in charts if chart]


def _list_metric_rows(results: EvaluationResults) -> list[IntervalRow]:
    return [
        IntervalRow(
            group=name_task(task), title=name_metric(display), measurements=_measure(display, parts)
        )
        for task, suite in results.suites.items()
        for name in sort_metrics(suite["overall"])
        if (display := describe_metric(name)).top
        for parts in [
            {
                variant: (part["overall"].get(name), part["intervals"].get(name))
                for variant in VARIANTS
                for part in [results.variants[variant][task]]
            }
        ]
    ]


def _list_slice_rows(results: EvaluationResults, slices: Sequence[SliceRow]) -> list[IntervalRow]:
    return [
        IntervalRow(
            group=name_subject(row.task, row.metric),
            title=row.title,
            measurements=_measure(display, parts),
        )
        for row in slices
        if (display := describe_metric(row.metric)).top
        for parts in [
            {
                variant: (part.get(row.metric), part["intervals"].get(row.metric))
                for variant in VARIANTS
                for part in [results.variants[variant][row.task]["slices"][row.name][row.value]]
            }
        ]
    ]


def _measure(
    display: MetricDisplay, parts: Mapping[Variant, tuple[float | None, Sequence[float] | None]]
) -> dict[str, Measurement]:
    """Return the measurement of each variant that has a value."""
    top = display.top or 1.0
    return {
        variant: Measurement(
            share=value / top,
            interval=(interval[0] / top, interval[1] / top) if interval else None,
            shown=display.format(value),
            shown_interval=" – ".join(map(display.format, interval)) if interval else "",
        )
        for variant, (value, interval) in parts.items()
        if value is not None
    }
