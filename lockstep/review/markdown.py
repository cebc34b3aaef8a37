"""Markdown of the review comment. Texts from data and params are untrusted: all go through `quote`.

In a code span GitHub renders no mention, link, image or HTML.
"""

import re
import unicodedata
from collections.abc import Sequence

_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
"""Unicode categories that show nothing or change the order of what is shown."""


def quote(text: object, length: int = 80) -> str:
    """Return a text as a code span of one line, cut off after `length` characters.

    Bars become broken bars, since a bar would end the cell of a table; characters that are not
    visible become spaces.
    """
    line = "".join(" " if unicodedata.category(c) in _HIDDEN else c for c in str(text))
    line = " ".join(line.replace("|", "¦").split())
    if len(line) > length:
        line = f"{line[: length - 1]}…"
    if not line:
        return "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    """Return the lines of a table whose first `texts` columns are aligned to the left."""
    marks = ["---" if place < texts else "--:" for place in range(len(header))]
    return ["| " + " | ".join(cells) + " |" for cells in (header, marks, *rows)]


def shorten_list(lines: Sequence[str], maximum: int, what: str) -> list[str]:
    """Return the first lines, and a line that counts the others."""
    more = len(lines) - maximum
    return [*lines[:maximum], *([f"- and {more:,} more {what}"] if more > 0 else [])]
