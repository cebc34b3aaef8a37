"""Chart of the training log: the losses, and a panel for every other metric of the log."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from lockstep.metrics.metric_display import describe_metric, spell_out
from lockstep.reporting.charts.drawing import ACCENT, SECOND, Chart, Drawing, LineStyle
from lockstep.reporting.texts import Text, say, translate_term

Log = Sequence[dict[str, Any]]
"""Rows of log.csv; a value is None where nothing was measured."""
PREFIX = "validation_"
LOSSES = ("loss", "validation_loss")
X_COLUMNS = ("step", "epoch")
TRAINING = LineStyle(color=ACCENT, marker="", line="-")
EVALUATION = LineStyle(color=SECOND, marker="o", line="--")
LOG_SCALE = 30
"""Ratio of the highest to the lowest loss above which the axis is logarithmic."""
HEIGHTS = (2.6, 1.3)
"""Height of the panel of the losses and of another panel, in inches."""


def draw_training_chart(log: Log) -> Chart | None:
    """Draw every column of the log over the optimizer steps; return None for an empty log."""
    columns = [name for name in (log[0] if log else {}) if name not in X_COLUMNS]
    others = [name for name in columns if name not in LOSSES and _list_points(log, name)]
    if not any(_list_points(log, name) for name in LOSSES):
        return None
    # the metrics of evaluations come before the learning rate and the norm of the gradient
    others.sort(key=lambda name: not name.startswith(PREFIX))
    name = "training-chart"
    drawing = Drawing(name, HEIGHTS[0], *[HEIGHTS[1]] * len(others))
    first, *panels = drawing.axes
    for column in LOSSES:
        _draw_column(drawing, first, log, column)
    losses = [value for column in LOSSES for _, value in _list_points(log, column)]
    if min(losses) > 0 and max(losses) > LOG_SCALE * min(losses):
        first.set_yscale("log")
        first.yaxis.set_major_formatter("{x:g}")
    else:
        first.set_ylim(bottom=min(0.0, *losses))
    for axes, column in zip(panels, others, strict=True):
        _draw_column(drawing, axes, log, column)
        axes.sharex(first)
    for axes in drawing.axes:
        drawing.add_legend(axes, at_left=True)
        axes.margins(x=0.02)
    drawing.axes[-1].set_xlabel(drawing.label(say("optimizer steps")))
    shown = [name for name in [*X_COLUMNS, *columns] if name in log[0]]
    return Chart(
        name=name,
        title=say("Training and validation over optimizer steps"),
        note=say(
            "Lines are measured while training; points are evaluations on validation records."
        ),
        svg=drawing.render(),
        columns=[name_column(column) for column in shown],
        rows=[[_format_cell(row[column]) for column in shown] for row in log],
    )


def name_column(column: str) -> Text:
    """Return the name of a column of log.csv as a reader sees it."""
    if column == "loss":
        return say("training loss")
    if column.startswith(PREFIX):
        metric = column.removeprefix(PREFIX)
        return say("validation {metric}", metric=translate_term(describe_metric(metric).title))
    return translate_term(spell_out(column))


def _draw_column(drawing: Drawing, axes: Axes, log: Log, column: str) -> None:
    points = _list_points(log, column)
    style = EVALUATION if column.startswith(PREFIX) else TRAINING
    axes.plot(*zip(*points, strict=True) if points else ([], []), **style.options,
              label=drawing.label(name_column(column)))  # fmt: skip


def _list_points(log: Log, column: str) -> list[tuple[float, float]]:
    """Return (step, value) of each finite value."""
    return [
        (row["step"], row[column])
        for row in log
        if row.get(column) is not None and math.isfinite(row[column])
    ]


def _format_cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
