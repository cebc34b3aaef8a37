"""Tables in reports/plots, which `dvc plots` draws."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from lockstep.metrics.metric_display import describe_metric, sort_metrics, spell_out
from lockstep.predictions import VARIANTS
from lockstep.statistics.details import Metrics, get_suites, round_digits


def build_plot_tables(details: Metrics, log: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return {file name: CSV}.

    variants.csv has the main metric of each suite as a share of its best possible value.
    """
    return {
        **{
            f"{name}.csv": _format_table(
                ["step", name],
                [(f"{row['step']:.0f}", row[name]) for row in log if row[name] is not None],
            )
            for name in ("loss", "validation_loss")
        },
        "variants.csv": _format_table(
            ["suite_metric", "variant", "suite", "metric", "value"],
            [
                (f"{spell_out(task)}: {title}", variant, task, name, round_digits(value / best))
                for task, suite in get_suites(details["merged"]).items()
                for name, title, best in _list_scaled_metrics(suite["overall"])[:1]
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


def _list_scaled_metrics(names: Iterable[str]) -> list[tuple[str, str, float]]:
    """Return name, title and best value of metrics that have one, the suite's main metric first."""
    displays = ((name, describe_metric(name)) for name in sort_metrics(names))
    return [(name, display.title, display.top) for name, display in displays if display.top]


def _format_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV, with an empty cell for None."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([header, *rows])
    return stream.getvalue()
