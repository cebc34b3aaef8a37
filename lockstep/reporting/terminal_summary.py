"""Print the table of results and where the page is."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep.reporting.metric_display import in_order, measure, words
from lockstep.reporting.stage_results import VARIANTS


def table(metrics: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Each suite's main figure by variant, perplexity last, aligned."""
    merged = [task for task in metrics["merged"] if all(task in metrics[v] for v in VARIANTS)]
    lines: list[tuple[str, ...]] = [("", "", *VARIANTS)]
    for task in sorted(merged, key=lambda task: (task == "perplexity", task)):
        name = in_order(metrics["merged"][task])[0]
        own = measure("perplexity" if task == "perplexity" else name)
        shown = [own.show(metrics[variant][task][name]) for variant in VARIANTS]
        lines.append((words(task), "" if task == "perplexity" else own.title, *shown))
    return aligned(lines, texts=2)


def aligned(lines: Sequence[Sequence[str]], texts: int) -> list[str]:
    """Cells in columns: texts first, which start together, then numbers, which end together."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < texts else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def main(reports: Path) -> None:
    file = reports / "metrics.json"
    if not file.exists():
        sys.exit(f"error: {file}: not found; `dvc repro` makes it")
    print("", *table(json.loads(file.read_text(encoding="utf-8"))), sep="\n")
    print(f"\nThe report for your browser: {reports / 'index.html'}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m lockstep.reporting.terminal_summary REPORTS")
    main(Path(sys.argv[1]))
