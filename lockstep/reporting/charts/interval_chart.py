"""Chart of metrics with their intervals, for all variants: a row for each metric or slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockstep.predictions import VARIANTS
from lockstep.reporting.charts.drawing import SOFT, VARIANT_STYLES, Chart, Drawing
from lockstep.reporting.texts import Text, say, translate_term

MAX_ROWS = 60
"""Maximum number of rows of a chart."""
ROW_HEIGHT = 0.3
"""Height of a row in inches."""
MARGIN = 0.8
"""Height of legend and axis in inches."""
OFFSETS: dict[str, float] = dict(zip(VARIANTS, (-0.22, 0.0, 0.22), strict=True))
"""Place of a variant in its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A metric of one variant as a share of its best value, and as a reader sees it."""

    share: float
    interval: tuple[float, float] | None
    shown: str
    shown_interval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalRow:
    """A row of the chart."""

    group: Text
    """Heading of the row's group."""
    title: Text
    measurements: Mapping[str, Measurement]
    """Variant -> its measurement; a variant without one is missing."""


def draw_interval_chart(
    name: str, title: Text, note: Text, rows: Sequence[IntervalRow]
) -> Chart | None:
    """Draw the first MAX_ROWS rows, grouped; return None without rows."""
    if not rows:
        return None
    if len(rows) > MAX_ROWS:
        note = say(
            "{note} Only the first {shown} of {count} rows are drawn.",
            note=note,
            shown=MAX_ROWS,
            count=len(rows),
        )
    rows = rows[:MAX_ROWS]
    places, headings = _place_rows(rows)
    drawing = Drawing(name, ROW_HEIGHT * (len(rows) + len(headings)) + MARGIN)
    axes = drawing.axes[0]
    for variant in VARIANTS:
        _draw_variant(drawing, variant, rows, places)
    axes.set_yticks(
        [*places, *headings], [drawing.label(row.title) for row in rows] + [""] * len(headings)
    )
    for place, heading in headings.items():
        axes.text(0, place, drawing.label(heading), weight="bold", va="center", color=SOFT)
    axes.set_ylim(max(places) + 0.7, -0.7)
    axes.set_xlim(-0.015, 1.015)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    drawing.add_legend(axes)
    return Chart(
        name=name,
        title=title,
        note=note,
        svg=drawing.render(),
        columns=[
            say("Row"),
            *(
                column
                for variant in VARIANTS
                for column in (translate_term(variant), say("95% interval"))
            ),
        ],
        rows=[_list_cells(row) for row in rows],
    )


def _place_rows(rows: Sequence[IntervalRow]) -> tuple[list[int], dict[int, Text]]:
    """Return the place of each row, and the heading of each group by its place."""
    places: list[int] = []
    headings: dict[int, Text] = {}
    for index, row in enumerate(rows):
        place = places[-1] + 1 if places else 0
        if index == 0 or row.group != rows[index - 1].group:
            headings[place] = row.group
            place += 1
        places.append(place)
    return places, headings


def _draw_variant(
    drawing: Drawing, variant: str, rows: Sequence[IntervalRow], places: Sequence[int]
) -> None:
    measured = [
        (place + OFFSETS[variant], row.measurements[variant])
        for place, row in zip(places, rows, strict=True)
        if variant in row.measurements
    ]
    ends = [item.interval or (item.share, item.share) for _, item in measured]
    drawing.axes[0].errorbar(
        [item.share for _, item in measured],
        [place for place, _ in measured],
        xerr=[
            [
                max(0.0, item.share - low)
                for (_, item), (low, _) in zip(measured, ends, strict=True)
            ],
            [
                max(0.0, high - item.share)
                for (_, item), (_, high) in zip(measured, ends, strict=True)
            ],
        ],
        **{**VARIANT_STYLES[variant].options, "linestyle": "none"},
        elinewidth=1.2,
        capsize=2,
        label=drawing.label(translate_term(variant)),
    )


def _list_cells(row: IntervalRow) -> list[str]:
    cells: list[str] = [say("{group}: {title}", group=row.group, title=row.title)]
    for variant in VARIANTS:
        item = row.measurements.get(variant)
        cells += [item.shown, item.shown_interval] if item else ["", ""]
    return cells
