"""Print the top of reports/report.md and what a user should know about the reports."""

import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from lockstep.cli.leftovers import describe_leftovers
from lockstep.review.changed_results import describe_other_machine

TOP = ("## Gates", "## Results")
"""Headings of the sections that are printed, after the verdict in front of them."""


def select_top(report: str) -> Iterator[str]:
    """Yield the lines of the verdict and of the sections TOP, as plain text."""
    for line in report.splitlines():
        if line.startswith("## ") and line not in TOP:
            return
        yield unescape_markdown(line)


def unescape_markdown(line: str) -> str:
    """Return a line without the escapes of Markdown, emphasis and control characters."""
    text = re.sub(r"(?<!\\)\*\*", "", line)
    text = html.unescape(re.sub(r"\\([\\`*_\[\]|~])", r"\1", text))
    return "".join(char for char in text if char.isprintable())


def main(reports: Path) -> None:
    file = reports / "report.md"
    if not file.exists():
        sys.exit(f"error: {file}: not found; run `dvc repro`")
    top = "\n".join(select_top(file.read_text(encoding="utf-8"))).strip()
    print(
        f"\n{top}\n\nThe report: {reports / 'index.html'} for your browser, {file} for a terminal"
    )
    other_machine = describe_other_machine(Path())
    for line in [*([other_machine] if other_machine else []), *describe_leftovers()]:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m lockstep.review.terminal_summary REPORTS")
    main(Path(sys.argv[1]))
