"""Charts of the data: the funnel from rows to records, and the lengths of texts."""

from collections.abc import Mapping
from typing import Any

from lockstep.reporting.charts.drawing import ACCENT, BASE, INK, SECOND, Chart, Drawing
from lockstep.reporting.texts import Text, say, translate_term

DROPPED = ("rejected", "left_out", "duplicates", "removed")
"""Numbers of rows that prepare does not keep, in the order of the funnel."""
SPLITS = ("train", "validation", "test")
PARTS = ("question", "answer", "whole")
"""Texts of a record whose lengths prepare measures."""
STATISTICS = {"median": ("|", ACCENT), "mean": ("o", SECOND), "longest": (">", BASE)}
"""Statistic of lengths -> marker and colour."""
HATCHED = {"facecolor": "none", "edgecolor": BASE, "hatch": "////"}
"""Look of a bar of rows that were dropped."""


def draw_funnel_chart(prepared: Mapping[str, Any], children: int) -> Chart:
    """Draw the rows that were read, dropped and kept, and the splits of the kept records.

    `children` is the number of records that augmentation added to training.
    """
    steps = list_funnel_steps(prepared, children)
    name = "funnel-chart"
    drawing = Drawing(name, 0.3 * len(steps) + 0.4)
    axes = drawing.axes[0]
    for place, (_, count, start, is_dropped) in enumerate(steps):
        look: dict[str, Any] = HATCHED if is_dropped else {"color": ACCENT}
        axes.barh(place, count, left=start, height=0.62, **look)
        axes.annotate(
            f"{count:,}", (start + count, place), xytext=(4, 0), textcoords="offset points",
            va="center", color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(steps)), [drawing.label(title) for title, *_ in steps])
    axes.set_ylim(len(steps) - 0.5, -0.5)
    axes.set_xlim(0, 1.12 * max(start + count for _, count, start, _ in steps) or 1)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=5)
    axes.grid(visible=False, axis="y")
    return Chart(
        name=name,
        title=say("From rows to records"),
        note=say("Hatched bars are rows that were not kept."),
        svg=drawing.render(),
        columns=[say("Step"), say("records")],
        rows=[[title, f"{count:,}"] for title, count, *_ in steps],
    )


def list_funnel_steps(
    prepared: Mapping[str, Any], children: int
) -> list[tuple[Text, int, int, bool]]:
    """Return (title, number, where its bar starts, whether the rows were dropped) of each step."""
    rows = prepared["rows"]
    steps = [(say("rows read"), rows["read"], 0, False)]
    remaining = rows["read"]
    for reason in DROPPED:
        count = rows.get(reason, 0)
        remaining -= count
        if count:
            steps.append((translate_term(reason.replace("_", " ")), count, remaining, True))
    steps.append((say("kept"), rows["kept"], 0, False))
    start = 0
    for split in SPLITS:
        count = prepared["splits"][split]["records"]
        steps.append((translate_term(split), count, start, False))
        start += count
    if children:
        steps.append((say("added by augmentation"), children, 0, False))
    return steps


def draw_length_chart(splits: Mapping[str, Any]) -> Chart | None:
    """Draw the lengths of questions, answers and whole records of each split, in characters."""
    rows = [
        (say("{part}, {split}", part=translate_term(part), split=translate_term(split)), lengths)
        for part in PARTS
        for split in SPLITS
        if (lengths := splits[split].get("characters", {}).get(part)) and lengths["longest"]
    ]
    if not rows:
        return None
    name = "length-chart"
    drawing = Drawing(name, 0.3 * len(rows) + 0.9)
    axes = drawing.axes[0]
    for place, (_, lengths) in enumerate(rows):
        axes.plot([lengths["median"], lengths["longest"]], [place] * 2, color=BASE, linewidth=1)
    for statistic, (marker, color) in STATISTICS.items():
        axes.plot(
            [lengths[statistic] for _, lengths in rows],
            range(len(rows)),
            color=color,
            marker=marker,
            markersize=9 if marker == "|" else 4.5,
            markeredgewidth=2 if marker == "|" else 1,
            linestyle="none",
            label=drawing.label(translate_term(statistic)),
        )
    axes.set_xscale("log")
    axes.set_xlim(left=max(0.8, 0.5 * min(lengths["median"] for _, lengths in rows)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_yticks(range(len(rows)), [drawing.label(title) for title, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(drawing.label(say("characters, on a logarithmic scale")))
    drawing.add_legend(axes)
    return Chart(
        name=name,
        title=say("Lengths of texts"),
        note=say("The line goes from the median to the longest text."),
        svg=drawing.render(),
        columns=[say("Text"), *map(translate_term, STATISTICS)],
        rows=[
            [title, *(f"{lengths[statistic]:,g}" for statistic in STATISTICS)]
            for title, lengths in rows
        ],
    )
