"""Tell what the runs that exist say of the fit: `make runs`.

Learning curves over shares of the training records, k-fold summaries over folds, and the loss on
training and validation records: of this commit, of the experiments on it and of the workspace.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from lockstep import outputs
from lockstep.metrics.metric_display import MetricDisplay, describe_metric, words
from lockstep.reporting.terminal_summary import aligned
from lockstep.review import cross_validation, experiments, learning_curves
from lockstep.review.cross_validation import Folds
from lockstep.review.experiment_groups import PERPLEXITY, Group, of_suite
from lockstep.review.experiments import FOLD, FOLDS, FRACTION, SEED, Run
from lockstep.review.learning_curves import Curve, Gain, Point
from lockstep.statistics.confidence_intervals import Interval

FOR_A_CURVE = f"dvc exp run --queue -S '{FRACTION}=0.25,0.5,1.0' -S '{SEED}=7,8,9'"
FOR_FOLDS = f"dvc exp run --queue -S {FOLDS}=5 -S '{FOLD}=range(5)'"
START = "dvc queue start -j 1"
LONGEST = 40
"""Characters that are shown of a value that tells groups of runs apart."""
MOST = 3
"""Such values that are shown."""
NONE = "–"


def report(
    curved: Sequence[Group[Curve]], folded: Sequence[Group[Folds]], runs: Sequence[Run]
) -> Iterator[str]:
    """Line by line; where there is nothing of a kind, what to run for it."""
    for several in curved:
        yield from (heading("Learning curve", several), "")
        for curve in several.suites:
            yield from (*curve_lines(curve), "")
    for one in folded:
        yield from (heading("Folds", one), "", *fold_lines(one.suites), "")
    if runs:
        yield from ("Loss on training and validation records", "", *gap_lines(runs), "")
    if not curved:
        yield f"no learning curve yet; for one: {FOR_A_CURVE} && {START}"
    if not folded:
        yield f"no folds yet; for them: {FOR_FOLDS} && {START}"


def heading(kind: str, own: Group[Any]) -> str:
    """What is shown, and of which runs where there are several groups."""
    shown = [f"{name} {str(value)[:LONGEST]}" for name, value in list(own.different.items())[:MOST]]
    more = [f"{len(own.different) - MOST} more"] if len(own.different) > MOST else []
    return f"{kind}: {', '.join(shown + more)}" if shown else kind


def curve_lines(curve: Curve) -> Iterator[str]:
    """A table of a figure by share of the records, and what the last doubling brought."""
    own = of_suite(curve.suite, curve.metric)
    yield " ".join(title(curve.suite, own)).strip()
    header = ("", "training records", "runs", "mean", "95% interval")
    for line in aligned([header, *(point_cells(point, own) for point in curve.points)], texts=0):
        yield f"  {line}"
    yield f"  {gain_sentence(curve.gain, own)}"


def point_cells(point: Point, own: MetricDisplay) -> tuple[str, ...]:
    return (
        share(point.fraction) if point.fraction else "base",
        f"{point.records:,.0f}",
        str(point.runs),
        own.show(point.mean),
        ends(point.interval, own),
    )


def gain_sentence(gain: Gain | None, own: MetricDisplay) -> str:
    """What the last doubling of the training records brought, and how sure that is."""
    if gain is None:
        return "No seed has both the largest share and at most half of it: no doubling to tell of."
    sure = "of one seed: it could be chance"
    if gain.interval:
        low, high = own.step(gain.interval.low), own.step(gain.interval.high)
        sure = f"95% interval over {gain.seeds} seeds {low} to {high}"
    between = "; the half is interpolated" if gain.interpolated else ""
    return (
        f"The last doubling, from {share(gain.half)} to {share(gain.whole)} of the training "
        f"records, changed it by {own.step(gain.value)} ({sure}{between})."
    )


def fold_lines(found: Sequence[Folds]) -> Iterator[str]:
    """A table of each suite's main figure over folds, and the folds that are missing."""
    header = ("", "", "folds", "runs", "base", "mean", "SD", "SE", "95% interval", "min", "max")
    yield from aligned([header, *map(fold_cells, found)], texts=2)
    for missing in sorted({tuple(one.missing) for one in found if one.missing}):
        suites = ", ".join(words(one.suite) for one in found if tuple(one.missing) == missing)
        which = ", ".join(f"fold {fold} of seed {seed}" for seed, fold in missing)
        yield f"missing of {suites}: {which}"


def fold_cells(one: Folds) -> tuple[str, ...]:
    own = of_suite(one.suite, one.metric)
    return (
        *title(one.suite, own),
        f"{one.found} of {one.folds}",
        str(one.runs),
        NONE if one.base is None else own.show(one.base),
        own.show(one.mean),
        own.show(one.deviation),
        own.show(one.error),
        ends(one.interval, own),
        own.show(one.least),
        own.show(one.greatest),
    )


def gap_lines(runs: Sequence[Run]) -> Iterator[str]:
    """A table of the losses of all runs."""
    own = describe_metric("loss")
    header = ("", "share", "fold", "seed", "training", "validation", "gap")
    rows = [
        (
            run.name,
            share(run.fraction),
            f"{run.fold} of {run.folds}" if run.folds else NONE,
            str(run.seed),
            own.show(run.metrics.train.loss),
            own.show(run.metrics.train.validation_loss),
            own.step(run.metrics.train.gap),
        )
        for run in runs
    ]
    yield from aligned([header, *rows], texts=1)


def title(suite: str, own: MetricDisplay) -> tuple[str, str]:
    return words(suite), "" if suite == PERPLEXITY else own.title


def share(fraction: float) -> str:
    return f"{100 * fraction:g}%"


def ends(interval: Interval | None, own: MetricDisplay) -> str:
    return f"{own.show(interval.low)} to {own.show(interval.high)}" if interval else NONE


def losses(run: Run) -> dict[str, object]:
    """Of one run, for the file."""
    own = run.metrics.train
    return {
        "run": run.name, "fraction": run.fraction, "folds": run.folds, "fold": run.fold,
        "seed": run.seed, "loss": own.loss, "validation_loss": own.validation_loss, "gap": own.gap,
    }  # fmt: skip


@click.command(help=__doc__)
@click.option("--num", "commits", default=1, show_default=True, metavar="N",
              help="Of so many commits, from this one back; -1: of all.")  # fmt: skip
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path),
              help="A file for the same numbers.")  # fmt: skip
def main(commits: int, out: Path | None) -> None:
    runs, left_out = experiments.collect(commits)
    runs = sorted(runs, key=lambda run: (run.folds, run.fraction, run.seed, run.fold, run.name))
    curved, folded = learning_curves.curves(runs), cross_validation.summaries(runs)
    click.echo("\n".join(report(curved, folded, runs)))
    for name, reason in left_out.items():
        click.echo(f"left out: {name} ({reason})")
    if out is not None:
        with outputs.atomic_file(out) as partial:
            found = {
                "curves": [asdict(one) for one in curved],
                "folds": [asdict(one) for one in folded],
                "losses": [losses(run) for run in runs],
                "left_out": left_out,
            }
            outputs.write_json(partial, found)


if __name__ == "__main__":
    main()
