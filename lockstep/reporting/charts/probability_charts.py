"""ROC curves and reliability diagrams of the suites whose answers have probabilities."""

from typing import Any

from lockstep.predictions import VARIANTS
from lockstep.reporting.charts.drawing import LINE, SOFT, VARIANT_STYLES, Chart, Drawing
from lockstep.reporting.metric_texts import name_task
from lockstep.reporting.texts import Text, say, translate_term

Series = dict[str, list[tuple[float, ...]]]
"""Variant -> its points; the first two numbers of a point are its place."""
SIZE = (4.4, 3.6)
"""Width and height in inches."""


def draw_roc_chart(task: str, curves: dict[str, Any]) -> Chart | None:
    """Draw the ROC curve of each variant, `{variant: {"roc": [[fpr, tpr], …]}}`."""
    series = {variant: curves[variant]["roc"] for variant in VARIANTS if curves[variant]["roc"]}
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
    series = {variant: curves[variant]["reliability"] for variant in VARIANTS}
    if not any(series.values()):
        return None
    return _draw_square(
        f"reliability-{task}",
        say("Reliability diagram of {task}", task=name_task(task)),
        say(
            "Accuracy of the answers by the model's confidence in them. Points below the dotted "
            "diagonal are overconfident."
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
        axes.plot(
            [point[0] for point in points],
            [point[1] for point in points],
            **(options if markers else {**options, "marker": ""}),
            label=drawing.label(translate_term(variant)),
        )
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
