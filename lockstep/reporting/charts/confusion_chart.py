"""Chart of a confusion matrix: a square for each pair of labels, darker for a larger share."""

from typing import Any

from matplotlib.patches import Rectangle

from lockstep.metrics.metric_display import spell_out
from lockstep.reporting.charts.drawing import ACCENT, INK, Chart, Drawing, measure_width, shorten
from lockstep.reporting.metric_texts import name_task
from lockstep.reporting.texts import say

MAX_NAMES = 40
"""Maximum number of labels that stand beside the chart."""
MAX_COUNTS = 20
"""Maximum number of labels of a chart with the counts in its squares."""
SIZE = (3.0, 6.4)
"""Minimum and maximum height in inches."""
LABEL_HEIGHT = 0.24
"""Height of a label in inches."""
LETTER = 0.075
"""Width of a letter in inches; labels stand upright below the chart."""
MARGIN = 0.6
"""Height of the axis's title and of the paddings in inches."""

Confusion = dict[str, dict[str, int]]
"""Reference -> prediction -> number of records."""


def draw_confusion_chart(task: str, confusion: Confusion) -> Chart:
    """Draw the confusion matrix of the merged variant."""
    references = sorted(confusion)
    predictions = references + list_unexpected_labels(confusion)
    longest = max(measure_width(shorten(spell_out(label))) for label in predictions)
    height = LABEL_HEIGHT * len(predictions) + LETTER * longest + MARGIN
    height = min(max(height, SIZE[0]), SIZE[1])
    name = f"confusion-{task}"
    drawing = Drawing(name, height)
    axes = drawing.axes[0]
    cells = [
        (reference, prediction, count, count / sum(row.values()))
        for reference in references
        for row in [confusion[reference]]
        for prediction, count in sorted(row.items())
    ]
    for reference, prediction, count, share in cells:
        x, y = predictions.index(prediction), references.index(reference)
        look: dict[str, Any] = {"color": ACCENT, "alpha": 0.08 + 0.72 * share, "linewidth": 0}
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **look))
        if len(predictions) <= MAX_COUNTS:
            axes.text(x, y, str(count), ha="center", va="center", size=7, color=INK)
    for index in range(len(references)):
        corner = index - 0.5, index - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, color=INK, linewidth=0.5))
    _label_axes(drawing, references, predictions)
    return Chart(
        name=name,
        title=say("Confusion matrix of {task}", task=name_task(task)),
        note=say(
            "Rows are reference labels, columns are labels predicted by the tuned model. The "
            "darker a square, the larger its share of the row; correct predictions are outlined."
        ),
        svg=drawing.render(),
        columns=[say("reference"), say("prediction"), say("records"), say("share")],
        rows=[
            [reference, prediction, str(count), f"{share:.1%}"]
            for reference, prediction, count, share in cells
        ],
    )


def list_unexpected_labels(confusion: Confusion) -> list[str]:
    """Return the predictions that are no record's reference, sorted."""
    predictions = {prediction for row in confusion.values() for prediction in row}
    return sorted(predictions - confusion.keys())


def _label_axes(drawing: Drawing, references: list[str], predictions: list[str]) -> None:
    axes = drawing.axes[0]
    axes.set_xlim(-0.5, len(predictions) - 0.5)
    axes.set_ylim(len(references) - 0.5, -0.5)
    axes.grid(visible=False)
    names = predictions if len(predictions) <= MAX_NAMES else []
    axes.set_yticks(
        range(len(names[: len(references)])),
        [drawing.label(spell_out(label)) for label in names[: len(references)]],
    )
    axes.set_xticks(
        range(len(names)),
        [drawing.label(spell_out(label)) for label in names],
        rotation=90,
        rotation_mode="anchor",
        ha="right",
        va="center",
    )
    axes.set_xlabel(drawing.label(say("prediction")))
    axes.set_ylabel(drawing.label(say("reference")))
