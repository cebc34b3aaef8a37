"""Print the table of results, the path of the report, and what a user should know about them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep.cli.leftovers import describe_leftovers
from lockstep.metrics.metric_display import describe_metric, sort_metrics, spell_out
from lockstep.predictions import VARIANTS
from lockstep.review.changed_results import describe_other_machine


def format_table(metrics: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return aligned lines: each suite's main metric by variant, perplexity last."""
    suites: dict[str, dict[str, float]] = {}
    for variant in VARIANTS:
        for task, suite_metrics in metrics[variant].items():
            suites.setdefault(task, {}).update(suite_metrics)
    lines: list[tuple[str, ...]] = [("", "", *VARIANTS)]
    for task in sorted(suites, key=lambda task: (task == "perplexity", task)):
        name = sort_metrics(suites[task])[0]
        display = describe_metric("perplexity" if task == "perplexity" else name)
        values = [metrics[variant].get(task, {}).get(name) for variant in VARIANTS]
        shown = ["" if value is None else display.format(value) for value in values]
        lines.append((spell_out(task), "" if task == "perplexity" else display.title, *shown))
    return align_columns(lines, texts=2)


def align_columns(lines: Sequence[Sequence[str]], texts: int) -> list[str]:
    """Align cells in columns: the first `texts` columns to the left, the others to the right."""
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
        sys.exit(f"error: {file}: not found; run `dvc repro`")
    print("", *format_table(json.loads(file.read_text(encoding="utf-8"))), sep="\n")
    print(f"\nThe report for your browser: {reports / 'index.html'}")
    other_machine = describe_other_machine(Path())
    for line in [*([other_machine] if other_machine else []), *describe_leftovers()]:
        print(line, file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m lockstep.review.terminal_summary REPORTS")
    main(Path(sys.argv[1]))
