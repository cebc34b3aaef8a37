"""The tables of reports/report.md, from the values of the report page."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from markupsafe import Markup

from lockstep.metrics.metric_display import MetricDisplay, spell_out
from lockstep.predictions import VARIANTS
from lockstep.reporting.markdown_tables import format_table
from lockstep.reporting.metric_cells import Cell
from lockstep.reporting.rendering import escape_markdown

MARKS = {"better": "▲", "worse": "▼", "chance": "≈"}
"""Judgement of a change -> its mark, as on the page."""
HEADINGS = ("suite", "metric")
MetricRow = tuple[str, MetricDisplay, list[Cell]]


def build_tables(values: dict[str, Any]) -> dict[str, Markup]:
    """Return the tables by name; one without rows is empty.

    `values` are those of `page.collect_values`.
    """
    rows = [*_list_metrics(values)]
    return {
        "results": _build_metric_table(rows, _mark),
        "intervals": _build_metric_table(rows, lambda cell: cell.interval),
        "slices": _build_slice_table(values["slices"]),
        "splits": _build_table(
            ("records", "train", "augmented", "validation", "test"),
            [(task, *(f"{count:,}" for count in counts)) for task, counts in values["splits"]],
        ),
        "sources": _build_table(
            ("source", "records", "rejected"),
            [
                (name, f"{source['records']:,}", f"{source['rejected']:,}")
                for name, source in sorted(values["prepared"].get("sources", {}).items())
            ],
        ),
    }


def _list_metrics(values: dict[str, Any]) -> Iterator[MetricRow]:
    for suite in values["suites"]:
        for display, cells in suite.rows:
            yield spell_out(suite.task), display, cells
    for display, cells in values["likelihood"]:
        yield "all records", display, cells


def _build_metric_table(rows: Sequence[MetricRow], show: Callable[[Cell], str]) -> Markup:
    """Return a table with a row for each metric and a cell for each variant."""
    shown = [
        (
            task,
            f"{display.title} ↓" if display.lower_is_better else display.title,
            *map(show, cells),
        )
        for task, display, cells in rows
    ]
    return _build_table((*HEADINGS, *VARIANTS), _blank_repeated(shown), texts=2)


def _build_slice_table(slices: Sequence[tuple[str, Any]]) -> Markup:
    rows = [
        (spell_out(task), row.title, f"{row.records:,}", *(cell.text for cell in cells))
        for task, part in slices
        for row, cells in part
    ]
    return _build_table(("suite", "slice", "records", *VARIANTS), _blank_repeated(rows), texts=2)


def _build_table(header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> Markup:
    escaped = [[escape_markdown(cell) for cell in row] for row in rows]
    return format_table(header, escaped, texts) if rows else Markup()


def _blank_repeated(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Leave out the first cell of a row where it is that of the row above."""
    return [
        ("", *row[1:]) if index and row[0] == rows[index - 1][0] else row
        for index, row in enumerate(rows)
    ]


def _mark(cell: Cell) -> str:
    """Return the value with the mark of its change; all values of a column end in one place."""
    return f"{cell.text} {MARKS.get(cell.judgement, ' ')}" if cell.text else ""
