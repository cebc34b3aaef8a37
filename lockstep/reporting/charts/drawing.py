"""Draw a chart with matplotlib and return it as SVG that follows the page's colours and language.

The words of a chart are placeholders while matplotlib draws. This keeps texts of data away from
matplotlib's markup and fonts, and lets one drawing show both languages.
"""

import io
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lockstep.predictions import VARIANTS
from lockstep.reporting.rendering import make_anchor
from lockstep.reporting.texts import Text, get_chinese

INK, SOFT, LINE = "#000001", "#000002", "#000003"
BASE, ACCENT, SECOND = "#000004", "#000005", "#000006"
COLORS = {
    INK: "--ink", SOFT: "--soft", LINE: "--line",
    BASE: "--base", ACCENT: "--accent", SECOND: "--second",
}  # fmt: skip
"""Colour in a drawing -> the variable of the style sheet that replaces it."""
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "lockstep",
    "hatch.linewidth": 0.8,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "hatch.color": SOFT,
    "legend.frameon": False,
    "legend.columnspacing": 1.2,
    "legend.handlelength": 2.4,
    "legend.handletextpad": 0.5,
    "legend.borderaxespad": 0.0,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "xtick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
}
WIDTH = 5.2
"""Width of a chart in inches; its words stay legible on a phone."""
MAX_LABEL = 36
"""Maximum width of a label in Latin letters; longer ones leave no room for the chart."""
UNITS = 72
"""Units of the view box in an inch."""
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_PLACEHOLDER = re.compile(r"(?<=>)t(\d+)_x*(?=<)")
"""A whole text of the drawing; a name in an attribute may look like a placeholder, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStyle:
    """Colour, marker and line of a series, which differ in black and white too."""

    color: str
    marker: str
    line: str
    is_hollow: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of matplotlib's functions that draw lines."""
        face = "none" if self.is_hollow else self.color
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": face,
        }


VARIANT_STYLES: dict[str, LineStyle] = dict(
    zip(
        VARIANTS,
        (
            LineStyle(color=BASE, marker="o", line=":", is_hollow=True),
            LineStyle(color=ACCENT, marker="s", line="-"),
            LineStyle(color=SECOND, marker="^", line="--"),
        ),
        strict=True,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart with its title and its data as a table."""

    name: str
    """Name in the ids of the page."""
    title: Text
    note: Text
    """A sentence that says how to read the chart."""
    svg: Markup
    columns: list[Text]
    rows: list[list[str]]
    """Cells of the table; a cell can be a Text."""


@contextmanager
def use_style() -> Iterator[None]:
    """Let matplotlib draw in the style of the page; a user's matplotlibrc does not count."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


class Drawing:
    """A figure of matplotlib with texts in two languages, to be used within `use_style`."""

    def __init__(self, name: str, *heights: float, width: float = WIDTH) -> None:
        """Create a figure with panels of these heights, one below the other, in inches."""
        self.name = make_anchor(name)  # it may contain the name of a task, which is data
        self.texts: list[str] = []
        self.figure = Figure(figsize=(width, sum(heights)), dpi=UNITS, layout="constrained")
        rows = self.figure.subplots(
            len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        self.axes: list[Axes] = [*rows[:, 0]]
        for axes in self.axes:
            axes.tick_params(length=0)

    def label(self, text: str) -> str:
        """Return the placeholder of a text, about as wide as the text in its longer language.

        A long text is shortened; the table of the chart has all of it.
        """
        text = shorten(text)
        self.texts.append(text)
        start = f"t{len(self.texts) - 1}_"
        width = max(map(measure_width, (text, str(get_chinese(text)))))
        return start + "x" * max(0, width - len(start))

    def add_legend(self, axes: Axes, *, at_left: bool = False) -> None:
        """Add the legend above a panel, from its left or right end on."""
        axes.legend(
            loc="lower left" if at_left else "lower right",
            bbox_to_anchor=(0.0 if at_left else 1.0, 1.01),
            ncols=3,
        )

    def render(self) -> Markup:
        """Return the SVG element."""
        stream = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        self.figure.savefig(stream, format="svg", metadata=nothing, transparent=True)
        svg = clean_svg(stream.getvalue(), self.name)
        return Markup(_PLACEHOLDER.sub(self._show_text, svg))  # noqa: S704 - texts are escaped

    def _show_text(self, match: re.Match[str]) -> str:
        text = self.texts[int(match[1])]
        if isinstance(text, Text) and text.zh != text.en:
            english, chinese = escape(text.en), escape(text.zh)
            return f'<tspan lang="en">{english}</tspan><tspan lang="zh">{chinese}</tspan>'
        return str(escape(text))


def shorten(text: str) -> str:
    """Return a text, or the beginning of a text wider than MAX_LABEL, in each language."""
    if isinstance(text, Text):
        return Text(shorten(text.en), shorten(text.zh))
    if measure_width(text) <= MAX_LABEL:
        return text
    widths = accumulate(measure_width(letter) for letter in text)
    return text[: sum(width < MAX_LABEL for width in widths)].rstrip() + "…"


def measure_width(text: str) -> int:
    """Return the width of a text in Latin letters; a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def clean_svg(document: str, name: str) -> str:
    """Return the svg element of matplotlib's document, fit to stand in an HTML page.

    It has no metadata, no style for other elements and no ids that another chart has. Coordinates
    have two decimals, and colours are variables of the page.
    """
    svg = document[document.index("<svg ") :]
    size = re.search(r'viewBox="[^"]*"', svg)
    svg = svg[svg.index(">") + 1 :]
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", ""),
        (r"<defs>\s*</defs>", ""),
        (r'<g id="[^"]*"', "<g"),
        (r'(id="|href="#|url\(#)', rf"\g<1>{name}-"),
        (r"xlink:href", "href"),
        (r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px"),
        (r" ?font-family: [^;\"]*;?", ""),
        (r"\s*\n\s*", "\n"),
    ):
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", lambda tag: _LONG_NUMBER.sub(_round_number, tag[0]), svg)
    for color, variable in COLORS.items():
        svg = svg.replace(color, f"var({variable})")
    view = size[0] if size else ""
    return f'<svg {view} role="img" aria-labelledby="{name}-title">{svg.strip()}'


def _round_number(match: re.Match[str]) -> str:
    return f"{round(float(match[0]), 2):g}"
