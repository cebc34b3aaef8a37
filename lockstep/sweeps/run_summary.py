"""Print the results of runs: settings, learning curves, folds, losses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.metrics.metric_display import (
    MetricDisplay,
    describe_metric,
    format_bytes,
    spell_out,
)
from lockstep.statistics.confidence_intervals import Interval
from lockstep.sweeps import cross_validation, learning_curves
from lockstep.sweeps.cross_validation import FoldSummary
from lockstep.sweeps.experiments import Run
from lockstep.sweeps.learning_curves import Curve, Gain, Point
from lockstep.sweeps.run_groups import PERPLEXITY, Group, describe_suite_metric
from lockstep.sweeps.settings_table import (
    Comparison,
    Row,
    compare_settings,
    describe_decision,
)

MAX_CHARACTERS = 40
"""Maximum number of characters shown of a setting by which groups of runs differ."""
MAX_SETTINGS = 3
"""Maximum number of such settings shown."""
FOLD_HEADER = ("", "", "folds", "runs", "base", "mean", "SD", "SE", "95% interval", "min", "max")
MISSING = "–"
"""Cell of a table without a value."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Results of runs."""

    runs: list[Run]
    comparison: Comparison | None
    """The settings side by side; None without a run."""
    curves: list[Group[Curve]]
    folds: list[Group[FoldSummary]]
    left_out: dict[str, str]
    """Name and reason of each run without a result."""


def summarize_runs(
    runs: Sequence[Run], left_out: dict[str, str], suite: str | None, preferred: str
) -> Summary:
    """Return the results of runs, compared by a suite's main metric (see compare_settings)."""
    ordered = sorted(
        runs, key=lambda run: (run.folds, run.fraction, run.seed, run.fold, split_numbers(run.name))
    )
    return Summary(
        runs=ordered,
        comparison=compare_settings(ordered, suite, preferred),
        curves=learning_curves.compute_curves(ordered),
        folds=cross_validation.summarize_folds(ordered),
        left_out=left_out,
    )


def split_numbers(name: str) -> list[str | int]:
    """Return a key that sorts names by the numbers in them: r=8 before r=16."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def format_summary(summary: Summary) -> Iterator[str]:
    """Yield the lines of the summary."""
    if summary.comparison:
        yield from ("Settings", "", *format_settings(summary.comparison), "")
        yield from (*describe_decision(summary.comparison), "")
    for curve_group in summary.curves:
        yield from (format_heading("Learning curve", curve_group), "")
        for curve in curve_group.suites:
            yield from (*format_curve(curve), "")
    for fold_group in summary.folds:
        yield from (format_heading("Folds", fold_group), "", *format_folds(fold_group.suites), "")
    if summary.runs:
        yield from ("Loss on training and validation records", "", *format_losses(summary.runs), "")
    for name, reason in summary.left_out.items():
        yield f"left out: {name} ({reason})"


def format_settings(comparison: Comparison) -> Iterator[str]:
    """Yield a table of the settings, the best first, and one of the other suites' metrics."""
    yield from align_columns([*list_setting_cells(comparison)], texts=1)
    others = [suite for suite in comparison.metrics if suite != comparison.suite]
    if others:
        header = ("", *(" ".join(format_title_of(comparison, suite)).strip() for suite in others))
        rows = [
            (row.label, *(format_estimate(comparison, row, suite)[0] for suite in others))
            for row in comparison.rows
        ]
        yield ""
        yield from align_columns([header, *rows], texts=1)


def list_setting_cells(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield the header and a row for each setting: its runs, metric, size, time, and fronts."""
    title = " ".join(format_title_of(comparison, comparison.suite)).strip()
    yield ("", "runs", title, "95% interval", "size", "training", "Pareto front")
    for row in comparison.rows:
        fronts = [name for name, rows in comparison.fronts.items() if row in rows]
        yield (
            row.label,
            str(len(row.runs)),
            *format_estimate(comparison, row, comparison.suite),
            MISSING if row.size is None else format_bytes(round(row.size)),
            MISSING if row.seconds is None else format_seconds(row.seconds),
            ", ".join(fronts) or MISSING,
        )


def format_estimate(comparison: Comparison, row: Row, suite: str) -> tuple[str, str]:
    """Return the mean of a suite's main metric and its interval, or dashes."""
    estimate = row.estimates.get(suite)
    if estimate is None:
        return MISSING, MISSING
    display = describe_suite_metric(suite, comparison.metrics[suite])
    return display.format(estimate.mean), format_interval(estimate.interval, display)


def format_seconds(seconds: float) -> str:
    """Format a time in the largest unit in which it is at least 1."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def format_title_of(comparison: Comparison, suite: str) -> tuple[str, str]:
    """Return the names of a suite and its main metric."""
    return format_title(suite, describe_suite_metric(suite, comparison.metrics[suite]))


def format_heading(kind: str, group: Group[Any]) -> str:
    """Return a heading with the settings by which this group differs from the others."""
    settings = [f"{name} {str(value)[:MAX_CHARACTERS]}" for name, value in group.settings.items()]
    if len(settings) > MAX_SETTINGS:
        settings[MAX_SETTINGS:] = [f"{len(settings) - MAX_SETTINGS} more"]
    return f"{kind}: {', '.join(settings)}" if settings else kind


def format_curve(curve: Curve) -> Iterator[str]:
    """Yield a table of a metric by share of the training records, and the last gain."""
    display = describe_suite_metric(curve.suite, curve.metric)
    yield " ".join(format_title(curve.suite, display)).strip()
    header = ("", "training records", "runs", "mean", "95% interval")
    rows = [format_point(point, display) for point in curve.points]
    for line in align_columns([header, *rows], texts=0):
        yield f"  {line}"
    yield f"  {describe_gain(curve.gain, display)}"


def format_point(point: Point, display: MetricDisplay) -> tuple[str, ...]:
    """Return the row of a learning curve for one share."""
    return (
        format_share(point.fraction) if point.fraction else "base",
        f"{point.records:,.0f}",
        str(point.runs),
        display.format(point.mean),
        format_interval(point.interval, display),
    )


def describe_gain(gain: Gain | None, display: MetricDisplay) -> str:
    """Describe the gain by the last doubling of the training records and its uncertainty."""
    if gain is None:
        return "No gain is known: no seed has runs at the largest share and at half of it or less."
    certainty = "one seed only: it could be chance"
    if gain.interval:
        low, high = (
            display.format_difference(gain.interval.low),
            display.format_difference(gain.interval.high),
        )
        certainty = f"95% interval over {gain.seeds} seeds {low} to {high}"
    interpolation = "; the value at half is interpolated" if gain.interpolated else ""
    return (
        f"The last doubling, from {format_share(gain.half)} to {format_share(gain.whole)} of the "
        f"training records, changed the metric by {display.format_difference(gain.value)} "
        f"({certainty}{interpolation})."
    )


def format_folds(summaries: Sequence[FoldSummary]) -> Iterator[str]:
    """Yield a table of each suite's main metric over folds, and the folds without a run."""
    yield from align_columns([FOLD_HEADER, *map(format_fold, summaries)], texts=2)
    yield from list_missing_folds(summaries)


def list_missing_folds(summaries: Sequence[FoldSummary]) -> Iterator[str]:
    """Yield a line for each list of folds without a run."""
    for missing in sorted({tuple(summary.missing) for summary in summaries if summary.missing}):
        suites = [spell_out(s.suite) for s in summaries if tuple(s.missing) == missing]
        folds = ", ".join(f"fold {fold} of seed {seed}" for seed, fold in missing)
        yield f"missing for {', '.join(suites)}: {folds}"


def format_fold(summary: FoldSummary) -> tuple[str, ...]:
    """Return the row of a suite in the table of folds."""
    display = describe_suite_metric(summary.suite, summary.metric)
    return (
        *format_title(summary.suite, display),
        f"{summary.folds_run} of {summary.folds}",
        str(summary.runs),
        MISSING if summary.base is None else display.format(summary.base),
        display.format(summary.mean),
        display.format(summary.standard_deviation),
        display.format(summary.standard_error),
        format_interval(summary.interval, display),
        display.format(summary.minimum),
        display.format(summary.maximum),
    )


def format_losses(runs: Sequence[Run]) -> Iterator[str]:
    """Yield a table of the losses of all runs."""
    yield from align_columns([*list_loss_cells(runs)], texts=1)


def list_loss_cells(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    """Yield the header and the row of each run in the table of losses."""
    display = describe_metric("loss")
    yield ("", "share", "fold", "seed", "training", "validation", "gap")
    for run in runs:
        yield (
            run.name,
            format_share(run.fraction),
            f"{run.fold} of {run.folds}" if run.folds else MISSING,
            str(run.seed),
            display.format(run.metrics.train.loss),
            display.format(run.metrics.train.validation_loss),
            display.format_difference(run.metrics.train.gap),
        )


def format_title(suite: str, display: MetricDisplay) -> tuple[str, str]:
    """Return the names of a suite and its metric; perplexity is both."""
    return spell_out(suite), "" if suite == PERPLEXITY else display.title


def format_share(fraction: float) -> str:
    """Format a share in percent."""
    return f"{100 * fraction:g}%"


def format_interval(interval: Interval | None, display: MetricDisplay) -> str:
    """Format the two ends of an interval."""
    if interval is None:
        return MISSING
    return f"{display.format(interval.low)} to {display.format(interval.high)}"


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


def list_losses(run: Run) -> dict[str, object]:
    """Return the losses of a run and the inputs that distinguish it from other runs."""
    losses = run.metrics.train
    return {
        "run": run.name, "fraction": run.fraction, "folds": run.folds, "fold": run.fold,
        "seed": run.seed, "loss": losses.loss, "validation_loss": losses.validation_loss,
        "gap": losses.gap,
    }  # fmt: skip


def write_numbers(summary: Summary, out: Path) -> None:
    """Write the numbers of the summary to a JSON file."""
    comparison = summary.comparison
    numbers: Mapping[str, Any] = {
        "settings": [asdict(row) for row in comparison.rows] if comparison else [],
        "best": comparison.best.label if comparison else None,
        "curves": [asdict(group) for group in summary.curves],
        "folds": [asdict(group) for group in summary.folds],
        "losses": [list_losses(run) for run in summary.runs],
        "left_out": summary.left_out,
    }
    with outputs.atomic_file(out) as partial:
        outputs.write_json(partial, numbers)
