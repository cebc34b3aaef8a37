"""Draw the charts of a sweep as SVG: a metric against each parameter, size and time."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lockstep.statistics.confidence_intervals import Interval
from lockstep.sweeps.run_groups import describe_suite_metric
from lockstep.sweeps.settings_table import Comparison, Row

INK = "#010203"
"""Color that stands for the page's text color, which depends on its light or dark mode."""
MARKERS = "osD^vP"
"""Shapes of series, which are readable in black and white."""
OFFSET = 0.08
"""Distance between series at the same value, in distances of two values."""
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "lockstep", "font.size": 10, "text.parse_math": False,
}  # fmt: skip


def draw_parameters(comparison: Comparison) -> dict[str, Markup]:
    """Return a chart of the metric for each parameter with two values or more.

    Points whose other settings are equal are joined by a line.
    """
    names = [name for name in comparison.best.settings if len(_list_values(comparison, name)) > 1]
    return {name: _draw(comparison, name, _draw_parameter) for name in names}


def draw_costs(comparison: Comparison) -> dict[str, Markup]:
    """Return a chart of the metric against size and time with its Pareto front, where known."""
    return {
        name: _draw(comparison, name, _draw_cost)
        for name in comparison.fronts
        if len({_get_cost(row, name) for row in comparison.rows} - {None}) > 1
    }


def _draw(comparison: Comparison, name: str, draw: Any) -> Markup:
    """Return one chart as an SVG element that takes the colors of the page around it."""
    display = describe_suite_metric(comparison.suite, comparison.metrics[comparison.suite])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.8, 3.2), layout="constrained")
        axes = figure.subplots()
        draw(axes, comparison, name)
        axes.set_ylabel(f"{comparison.suite} {display.title}")
        if display.percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(INK)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        axes.tick_params(colors=INK)
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return Markup(text[text.index("<svg") :].replace(INK, "currentColor"))  # noqa: S704 - drawn here


def _draw_parameter(axes: Axes, comparison: Comparison, name: str) -> None:
    """Draw the metric at each value; values have equal distances, however far they are apart."""
    places = {str(value): place for place, value in enumerate(_list_values(comparison, name))}
    series: dict[str, list[Row]] = {}
    for row in _sort_rows(comparison):
        others = {key: value for key, value in row.settings.items() if key != name}
        label = ", ".join(f"{key.split('.')[-1]}={value}" for key, value in others.items())
        series.setdefault(label, []).append(row)
    for number, (label, rows) in enumerate(series.items()):
        ordered = sorted(rows, key=lambda row: places[str(row.settings[name])])
        offset = OFFSET * (number - (len(series) - 1) / 2)
        at = [places[str(row.settings[name])] + offset for row in ordered]
        _draw_points(axes, comparison, ordered, at, number, label)
    axes.set_xticks([*places.values()], [*places])
    axes.set_xlabel(name)
    if len(series) > 1:
        axes.figure.legend(
            loc="outside upper left", ncols=2, frameon=False, labelcolor=INK, fontsize=8
        )


def _draw_cost(axes: Axes, comparison: Comparison, name: str) -> None:
    rows = [row for row in comparison.rows if _get_cost(row, name) is not None]
    unit, label = {"size": (1e6, "size in MB"), "time": (1.0, "training time in seconds")}[name]
    costs = [(_get_cost(row, name) or 0) / unit for row in rows]
    _draw_points(axes, comparison, rows, costs, 0, "", line="none")
    for row, cost in zip(rows, costs, strict=True):
        mean = row.estimates[comparison.suite].mean
        number = str(comparison.rows.index(row) + 1)
        axes.annotate(number, (cost, mean), (6, 4), textcoords="offset points", color=INK)
    front = comparison.fronts[name]
    axes.step(
        [(_get_cost(row, name) or 0) / unit for row in front],
        [row.estimates[comparison.suite].mean for row in front],
        where="post", color=INK, linestyle="--", linewidth=1,
    )  # fmt: skip
    axes.set_xlabel(label)


def _draw_points(
    axes: Axes,
    comparison: Comparison,
    rows: Sequence[Row],
    places: Sequence[float],
    number: int,
    label: str,
    line: str = "-",
) -> None:
    """Draw the means of rows with their intervals."""
    estimates = [row.estimates[comparison.suite] for row in rows]
    means = [estimate.mean for estimate in estimates]
    intervals = [e.interval or Interval(e.mean, e.mean) for e in estimates]
    pairs = list(zip(means, intervals, strict=True))
    below = [max(0.0, mean - interval.low) for mean, interval in pairs]
    above = [max(0.0, interval.high - mean) for mean, interval in pairs]
    axes.errorbar(
        places, means, yerr=[below, above], marker=MARKERS[number % len(MARKERS)], color=INK,
        alpha=max(0.45, 1 - 0.2 * number), linestyle=line, capsize=3, linewidth=1, label=label,
    )  # fmt: skip


def _sort_rows(comparison: Comparison) -> list[Row]:
    """Return the rows in ascending order of their settings."""
    places = {
        name: [str(value) for value in _list_values(comparison, name)]
        for name in comparison.best.settings
    }
    return sorted(
        comparison.rows,
        key=lambda row: [
            values.index(str(row.settings.get(name))) for name, values in places.items()
        ],
    )


def _list_values(comparison: Comparison, name: str) -> list[Any]:
    """Return the different values of a parameter, numbers in ascending order."""
    values = {str(row.settings.get(name)): row.settings.get(name) for row in comparison.rows}
    ordered: Iterable[Any] = values.values()
    if all(type(value) in (int, float) for value in values.values()):
        return sorted(ordered)
    return sorted(ordered, key=str)


def _get_cost(row: Row, name: str) -> float | None:
    return row.size if name == "size" else row.seconds
