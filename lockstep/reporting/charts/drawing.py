"""Draw a chart with matplotlib and return it as SVG that follows the page's colours and language.

The words of a chart are placeholders while matplotlib draws. This keeps texts of data away from
matplotlib's markup and fonts, and lets one drawing show both languages.
"""

import io
import re
import unicodedata
from dataclasses import dataclass

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lockstep.predictions import VARIANTS
from lockstep.reporting.texts import Text

INK, SOFT, LINE = "#000001", "#000002", "#000003"
BASE, ACCENT, SECOND = "#000004", "#000005", "#000006"
COLORS = {
    INK: "--ink", SOFT: "--soft", LINE: "--line",
    BASE: "--base", ACCENT: "--accent", SECOND: "--second",
}  # fmt: skip
"""Colour in a drawing -> the variable of the style sheet that replaces it."""
STYLE = {
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
    "legend.handlelength": 2.8,
    "legend.borderaxespad": 0.0,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "xtick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
}
WIDTH = 6.6
"""Width of a chart in inches, which is 475 units of its view box."""
UNITS = 72
"""Units of the view box in an inch."""
_PLACEHOLDER = re.compile(r"\bt(\d+)_x*")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStyle:
    """Colour, marker and line of a series, which differ in black and white too."""

    color: str
    marker: str
    line: str
    is_hollow: bool = False

    @property
    def options(self) -> dict[str, str]:
        """Return the options of matplotlib's functions that draw lines."""
        face = "none" if self.is_hollow else self.color
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": face,
        }


VARIANT_STYLES = dict(
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


class Drawing:
    """A figure of matplotlib with texts in two languages."""

    def __init__(self, name: str, height: float, panels: int = 1, width: float = WIDTH) -> None:
        """Create a figure with panels one below the other; sizes are in inches."""
        self.name = name
        self.texts: list[str] = []
        with matplotlib.rc_context():
            self._apply_style()
            self.figure = Figure(figsize=(width, height), dpi=UNITS, layout="constrained")
            self.axes: list[Axes] = [*self.figure.subplots(panels, 1, squeeze=False)[:, 0]]
        for axes in self.axes:
            axes.tick_params(length=0)

    def label(self, text: str) -> str:
        """Return the placeholder of a text; it is about as wide as the text."""
        self.texts.append(text)
        widths = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text]
        start = f"t{len(self.texts) - 1}_"
        return start + "x" * max(0, sum(widths) - len(start))

    def add_legend(self, axes: Axes, columns: int = 3) -> None:
        """Add the legend above a panel."""
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns)

    def render(self) -> Markup:
        """Return the SVG element."""
        stream = io.StringIO()
        with matplotlib.rc_context():
            self._apply_style()
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

    @staticmethod
    def _apply_style() -> None:
        """Set matplotlib's parameters; those of a user's matplotlibrc do not count."""
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)


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
        (r"\s*\n\s*", "\n"),
    ):
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    svg = re.sub(r"-?\d+\.\d{3,}", lambda match: f"{round(float(match[0]), 2):g}", svg)
    for color, variable in COLORS.items():
        svg = svg.replace(color, f"var({variable})")
    view = size[0] if size else ""
    return f'<svg {view} role="img" aria-labelledby="{name}-title">{svg.strip()}'
