"""Tables of reports/report.md, whose columns also line up in a terminal."""

import unicodedata
from collections.abc import Iterable, Sequence

from markupsafe import Markup


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> Markup:
    """Return a table in Markdown: the first `texts` columns to the left, the others to the right.

    The cells must be escaped already.
    """
    lines = [header, *rows]
    widths = [max(3, *map(measure_width, column)) for column in zip(*lines, strict=True)]
    rule = [
        "-" * width if index < texts else "-" * (width - 1) + ":"
        for index, width in enumerate(widths)
    ]
    padded = [
        [
            _pad(cell, width, to_left=index < texts)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    padded.insert(1, rule)
    text = "\n".join(f"| {' | '.join(line)} |" for line in padded)
    return Markup(text)  # noqa: S704 - the cells are escaped


def measure_width(text: str) -> int:
    """Return the number of columns that a text takes in a terminal: wide characters take two."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _pad(cell: str, width: int, *, to_left: bool) -> str:
    spaces = " " * (width - measure_width(cell))
    return cell + spaces if to_left else spaces + cell
