"""Tables in reports/plots, which `dvc plots` draws."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from lockstep.metrics.metric_display import describe_metric, sort_metrics
from lockstep.predictions import VARIANTS
from lockstep.statistics.details import Metrics, get_suites, round_digits


def build_plot_tables(details: Metrics, log: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return {file name: CSV}; variants.csv has metrics as shares of their best possible value."""
    return {
        **{
            f"{name}.csv": _format_table(
                ["step", name],
                [(f"{row['step']:.0f}", row[name]) for row in log if row[name] is not None],
            )
            for name in ("loss", "validation_loss")
        },
        "variants.csv": _format_table(
            ["metric_of_variant", "variant", "suite", "metric", "value"],
            [
                (f"{task} {name} {variant}", variant, task, name, round_digits(value / best))
                for task, suite in get_suites(details["merged"]).items()
                for name in sort_metrics(suite["overall"])
                if (best := describe_metric(name).top)
                for variant in VARIANTS
                if (value := details[variant][task]["overall"].get(name)) is not None
            ],
        ),
        "confusion.csv": _format_table(
            ["actual", "predicted"],
            [
                (reference, prediction)
                for suite in get_suites(details["merged"]).values()
                for reference, row in suite.get("confusion", {}).items()
                for prediction, count in row.items()
                for _ in range(count)
            ],
        ),
    }


def _format_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV, with an empty cell for None."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([header, *rows])
    return stream.getvalue()
