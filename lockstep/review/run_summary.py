"""Summarize the experiments that have run (`make runs`).

Prints learning curves over shares of the training records, k-fold summaries, and the losses on
training and validation records. It reads the results of this commit, of the experiments on it and
of the workspace, and trains nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from lockstep import outputs
from lockstep.metrics.metric_display import MetricDisplay, describe_metric, spell_out
from lockstep.review import cross_validation, experiments, learning_curves
from lockstep.review.cross_validation import FoldSummary
from lockstep.review.experiments import FOLD, FOLDS, FRACTION, SEED, Run
from lockstep.review.learning_curves import Curve, Gain, Point
from lockstep.review.run_groups import PERPLEXITY, Group, describe_suite_metric
from lockstep.review.terminal_summary import align_columns
from lockstep.statistics.confidence_intervals import Interval

QUEUE_CURVE = f"dvc exp run --queue -S '++{FRACTION}=0.25,0.5,1.0' -S '{SEED}=7,8,9'"
QUEUE_FOLDS = f"dvc exp run --queue -S '++{FOLDS}=5' -S '++{FOLD}=range(5)'"
START_QUEUE = "dvc queue start -j 1"
MAX_CHARACTERS = 40
"""Maximum number of characters shown of a setting by which groups of runs differ."""
MAX_SETTINGS = 3
"""Maximum number of such settings shown."""
MISSING = "–"
"""Cell of a table without a value."""


def format_summary(
    curves: Sequence[Group[Curve]], folds: Sequence[Group[FoldSummary]], runs: Sequence[Run]
) -> Iterator[str]:
    """Yield the lines of the summary; if curves or folds are missing, a command to run them."""
    for curve_group in curves:
        yield from (format_heading("Learning curve", curve_group), "")
        for curve in curve_group.suites:
            yield from (*format_curve(curve), "")
    for fold_group in folds:
        yield from (format_heading("Folds", fold_group), "", *format_folds(fold_group.suites), "")
    if runs:
        yield from ("Loss on training and validation records", "", *format_losses(runs), "")
    if not curves:
        yield f"no learning curve yet; to run one: {QUEUE_CURVE} && {START_QUEUE}"
    if not folds:
        yield f"no folds yet; to run them: {QUEUE_FOLDS} && {START_QUEUE}"


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
    header = ("", "", "folds", "runs", "base", "mean", "SD", "SE", "95% interval", "min", "max")
    yield from align_columns([header, *map(format_fold, summaries)], texts=2)
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
    display = describe_metric("loss")
    header = ("", "share", "fold", "seed", "training", "validation", "gap")
    rows = [
        (
            run.name,
            format_share(run.fraction),
            f"{run.fold} of {run.folds}" if run.folds else MISSING,
            str(run.seed),
            display.format(run.metrics.train.loss),
            display.format(run.metrics.train.validation_loss),
            display.format_difference(run.metrics.train.gap),
        )
        for run in runs
    ]
    yield from align_columns([header, *rows], texts=1)


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


def list_losses(run: Run) -> dict[str, object]:
    """Return the losses of a run and the inputs that distinguish it from other runs."""
    losses = run.metrics.train
    return {
        "run": run.name, "fraction": run.fraction, "folds": run.folds, "fold": run.fold,
        "seed": run.seed, "loss": losses.loss, "validation_loss": losses.validation_loss,
        "gap": losses.gap,
    }  # fmt: skip


@click.command(help=__doc__)
@click.option("--num", "commits", default=1, show_default=True, metavar="N",
              help="Number of commits to include, from this one back; -1 for all.")  # fmt: skip
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path),
              help="File to write the same numbers to, as JSON.")  # fmt: skip
def main(commits: int, out: Path | None) -> None:
    """Print the summary, and write its numbers to a file with `--json`."""
    runs, left_out = experiments.collect_runs(commits)
    runs = sorted(runs, key=lambda run: (run.folds, run.fraction, run.seed, run.fold, run.name))
    curves = learning_curves.compute_curves(runs)
    folds = cross_validation.summarize_folds(runs)
    click.echo("\n".join(format_summary(curves, folds, runs)))
    for name, reason in left_out.items():
        click.echo(f"left out: {name} ({reason})")
    if out is not None:
        with outputs.atomic_file(out) as partial:
            summary = {
                "curves": [asdict(group) for group in curves],
                "folds": [asdict(group) for group in folds],
                "losses": [list_losses(run) for run in runs],
                "left_out": left_out,
            }
            outputs.write_json(partial, summary)


if __name__ == "__main__":
    main()
