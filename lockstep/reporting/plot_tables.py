"""The tables that `dvc plots` draws."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from lockstep.reporting.metric_display import in_order, measure
from lockstep.reporting.stage_results import VARIANTS, Figures, suites
from lockstep.reporting.summary_metrics import significant


def plots(variants: dict[str, Figures], log: list[dict[str, Any]]) -> dict[str, str]:
    """CSV by file name; figures of merit as shares of the best."""
    return {
        **{
            f"{name}.csv": _table(
                ["step", name],
                [(f"{row['step']:.0f}", row[name]) for row in log if row[name] is not None],
            )
            for name in ("loss", "validation_loss")
        },
        "variants.csv": _table(
            ["figure", "variant", "suite", "metric", "value"],
            [
                (f"{task} {name} {variant}", variant, task, name, value)
                for task, suite in suites(variants["merged"]).items()
                for name in in_order(suite["overall"])
                for variant in VARIANTS
                for top in [measure(name).top]
                if top
                for value in [significant(variants[variant][task]["overall"][name] / top)]
            ],
        ),
        "confusion.csv": _table(
            ["actual", "predicted"],
            [
                (want, have)
                for suite in suites(variants["merged"]).values()
                for want, row in suite.get("confusion", {}).items()
                for have, count in row.items()
                for _ in range(count)
            ],
        ),
    }


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV, an empty cell where there is no figure."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([header, *rows])
    return stream.getvalue()
