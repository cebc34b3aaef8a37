"""ROC curves and reliability diagrams of the suites whose answers have probabilities."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from lockstep.predictions import VARIANTS
from lockstep.reporting.charts.drawing import LINE, SOFT, VARIANT_STYLES, Chart, Drawing
from lockstep.reporting.metric_texts import name_task
from lockstep.reporting.texts import Text, say, translate_term

Series = Mapping[str, list[Sequence[float]]]
"""Variant -> its points; the first two numbers of a point are its place."""
SIZE = (4.2, 3.6)
"""Width and height in inches."""
AREAS = (16, 150)
"""Area of a point for no record and for the most records, in square points."""


def draw_roc_chart(task: str, curves: dict[str, Any]) -> Chart | None:
    """Draw the ROC curve of each variant, `{variant: {"roc": [[fpr, tpr], …]}}`."""
    series: Series = {
        variant: curves[variant]["roc"] for variant in VARIANTS if curves[variant]["roc"]
    }
    if not series:
        return None
    return _draw_square(
        f"roc-{task}",
        say("ROC curve of {task}", task=name_task(task)),
        say(
            "Each label against the rest, averaged over labels. The nearer to the upper left "
            "corner, the better; the dotted diagonal is chance."
        ),
        (say("false positive rate"), say("true positive rate")),
        series,
        markers=False,
    )


def draw_reliability_chart(task: str, curves: dict[str, Any]) -> Chart | None:
    """Draw accuracy against confidence, `{variant: {"reliability": [[…, …, records], …]}}`."""
    series: Series = {variant: curves[variant]["reliability"] for variant in VARIANTS}
    if not any(series.values()):
        return None
    return _draw_square(
        f"reliability-{task}",
        say("Reliability diagram of {task}", task=name_task(task)),
        say(
            "Accuracy of the answers by the model's confidence in them. Points below the dotted "
            "diagonal are overconfident; a larger point stands for more records."
        ),
        (say("mean confidence"), say("accuracy")),
        series,
        markers=True,
    )


def _draw_square(
    name: str, title: Text, note: Text, labels: tuple[Text, Text], series: Series, *, markers: bool
) -> Chart:
    drawing = Drawing(name, SIZE[1], width=SIZE[0])
    axes = drawing.axes[0]
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle=(0, (1, 3)), linewidth=1)
    for variant, points in series.items():
        options = VARIANT_STYLES[variant].options
        line = {**options, "marker": "", "linewidth": 0.6 if markers else 1.4}
        axes.plot([point[0] for point in points], [point[1] for point in points], **line)
        if markers and points:
            _draw_sizes(axes, points, options)
        label = drawing.label(translate_term(variant))
        axes.plot([], [], **(options if markers else line), label=label)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.set_xlabel(drawing.label(labels[0]))
    axes.set_ylabel(drawing.label(labels[1]))
    drawing.add_legend(axes)
    columns = [say("variant"), *labels, *([say("records")] if markers else [])]
    return Chart(
        name=name,
        title=title,
        note=note,
        svg=drawing.render(),
        columns=columns,
        rows=[
            [translate_term(variant), *(f"{number:g}" for number in point)]
            for variant, points in series.items()
            for point in points
        ],
    )


def _draw_sizes(axes: Axes, points: list[Sequence[float]], options: dict[str, Any]) -> None:
    """Draw points (x, y, records), so that their area grows with their records."""
    most = max(point[2] for point in points)
    axes.scatter(
        [point[0] for point in points],
        [point[1] for point in points],
        s=[AREAS[0] + (AREAS[1] - AREAS[0]) * point[2] / most for point in points],
        marker=options["marker"],
        facecolors=options["markerfacecolor"],
        edgecolors=options["color"],
    )
