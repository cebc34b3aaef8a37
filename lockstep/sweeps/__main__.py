"""Run and compare experiments (`make sweep`, crossval, curve, seeds, bases, runs, workers, logs).

Each sweep checks its settings, queues those without a result in DVC's queue, starts workers, waits
for them, and ends in a table with intervals and a page in build/sweeps. The same command continues
a sweep of which some experiments failed or were killed, and shows the table again if all are done.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lockstep import params
from lockstep.cli.params_check import check_parameters
from lockstep.cli.runner import set_library_variables
from lockstep.errors import exit_on_mistake
from lockstep.sweeps import (
    experiment_log,
    experiments,
    grid,
    queueing,
    run_summary,
    sweep_page,
    workers,
)
from lockstep.sweeps.grid import Axis
from lockstep.verify.clone import run_git

PAGES = Path("build/sweeps")
"""Folder of the pages."""
QUANTIZE = "quantize."
"""Prefix of the parameters that only the quantized model depends on."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options that all sweeps have."""

    seeds: int
    gpus: str | None
    workers: int | None
    suite: str | None
    queue_only: bool


def add_sweep_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `Options` to a command, which receives them as one object."""

    def run(
        seeds: int, gpus: str | None, cpu_workers: int | None, suite: str | None, queue_only: bool,
        **arguments: Any,
    ) -> None:  # fmt: skip
        command(options=Options(seeds, gpus, cpu_workers, suite, queue_only), **arguments)

    run.__doc__ = command.__doc__
    for option in (
        click.option("--queue-only", is_flag=True, help="Queue the experiments and start nothing."),
        _SUITE,
        click.option("--workers", "cpu_workers", type=click.IntRange(1), help="Number on the CPU."),
        _GPUS,
        click.option("--seeds", type=click.IntRange(1), default=1, show_default=True,
                     help="Run each setting with this number of seeds."),
    ):  # fmt: skip
        run = option(run)
    return run


_GPUS = click.option(
    "--gpus", help="GPUs such as 0,1,2,3, one worker for each; default: all, or the CPU."
)
_SUITE = click.option("--suite", help="Suite whose main metric decides; default: the first task.")


@click.group(help=__doc__)
def main() -> None:
    """Choose a command."""


@main.command("grid")
@click.argument("text", metavar="GRID")
@add_sweep_options
def run_grid(text: str, options: Options) -> None:
    """Run all combinations of a grid, e.g. "train.learning_rate=1e-4,2e-4 train.adapter.r=8,16"."""
    axes = grid.parse_grid(text)
    keys = [parts[0][0].partition("=")[0] for parts in axes]
    run_sweep(f"Sweep of {' and '.join(keys)}", "GRID", axes, options)


@main.command("crossval")
@click.argument("folds", type=click.IntRange(2))
@add_sweep_options
def run_crossval(folds: int, options: Options) -> None:
    """Run k-fold cross-validation: each fold is the test split once."""
    run_sweep(f"Cross-validation with {folds} folds", "FOLDS", [grid.build_folds(folds)], options)


@main.command("curve")
@click.argument("fractions")
@add_sweep_options
def run_curve(fractions: str, options: Options) -> None:
    """Run a learning curve over shares of the training records, e.g. 0.1,0.3,1."""
    run_sweep("Learning curve", "FRACTIONS", [grid.build_fractions(fractions)], options)


@main.command("seeds")
@click.argument("number", type=click.IntRange(2))
@add_sweep_options
def run_seeds(number: int, options: Options) -> None:
    """Run the same setting with several seeds, from that of params.yaml on."""
    check_parameters()
    seeds = grid.build_seeds(read_seed(), number)
    run_sweep(f"{number} seeds", "N", [seeds], options)


@main.command("bases")
@click.argument("models")
@add_sweep_options
def run_bases(models: str, options: Options) -> None:
    """Tune several bases, each of them starter, a folder or owner/name@revision."""
    run_sweep("Bases", "MODELS", [grid.build_bases(models)], options)


@main.command("runs")
@click.option("--num", "commits", default=1, show_default=True, metavar="N",
              help="Number of commits to include, from this one back; -1 for all.")  # fmt: skip
@_SUITE
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path),
              help="File to write the same numbers to, as JSON.")  # fmt: skip
def show_runs(commits: int, suite: str | None, out: Path | None) -> None:
    """Show the results of this commit, of all experiments on it and of the workspace."""
    runs, left_out = experiments.collect_runs(commits)
    summary = run_summary.summarize_runs(runs, left_out, suite, choose_suite(params.parse()))
    show_summary("All runs", summary)
    if out is not None:
        run_summary.write_numbers(summary, out)


@main.command("workers")
@_GPUS
@click.option("--number", type=click.IntRange(1), help="Number of workers on the CPU.")
def start_workers(gpus: str | None, number: int | None) -> None:
    """Start a worker for each GPU, pinned to it, or a number of workers on the CPU."""
    workers.start_workers(workers.list_slots(gpus, number))
    click.echo("They end when the queue is empty; `dvc queue stop` ends them after their runs")


@main.command("logs")
@click.argument("name")
@click.option("--number", default=20, show_default=True, help="Number of last lines to show.")
def show_logs(name: str, number: int) -> None:
    """Show what an experiment printed: its error, then the last lines."""
    text = experiment_log.find_log(name, queueing.list_queue())
    click.echo("\n".join(experiment_log.summarize_log(text, number)))


def run_sweep(title: str, option: str, axes: Sequence[Axis], options: Options) -> None:
    """Check, queue and run the settings of a sweep and show their results.

    Exit with 1 if an experiment has no result in the end.
    """
    check_parameters()
    values = params.parse()
    if options.seeds > 1:
        axes = [*axes, grid.build_seeds(read_seed(), options.seeds)]
    settings = grid.combine_axes(axes)
    queueing.check_settings(values, axes, settings, option)
    names = queueing.queue_settings(values, settings)
    if options.queue_only:
        click.echo("`make workers` runs the queue; the same command then shows the results")
        return
    slots = workers.list_slots(options.gpus, options.workers)
    run_queue(names, slots)
    quantized = any(key.startswith(QUANTIZE) for setting in settings for key in setting.changes)
    runs, left_out = experiments.collect_runs(1, names, "quantized" if quantized else "merged")
    missing = find_states(names, queueing.QUEUED, queueing.FAILED, queueing.KILLED, queueing.LOST)
    left_out |= {experiment.name: experiment.state for experiment in missing}
    summary = run_summary.summarize_runs(runs, left_out, options.suite, choose_suite(values))
    show_summary(title, summary)
    if missing:
        report_missing(missing)
        sys.exit(1)


def run_queue(names: Sequence[str], slots: Sequence[workers.Slot]) -> None:
    """Run workers until no experiment waits, and start them again if they end before that.

    DVC's worker dies if it reads a message while another process writes it.
    """
    report = report_results(names)
    waiting = find_states(names, queueing.QUEUED, queueing.RUNNING)
    while waiting:
        started = workers.start_workers(slots)
        workers.wait_for_workers(started, report)
        before, waiting = waiting, find_states(names, queueing.QUEUED)
        if not started or len(waiting) >= len(before):
            return


def find_states(names: Sequence[str], *states: str) -> list[queueing.Experiment]:
    """Return the experiments of these names that are in one of the states."""
    listed = queueing.list_queue()
    experiments = [listed.get(name) or queueing.Experiment(name) for name in names]
    return [experiment for experiment in experiments if experiment.state in states]


def report_results(names: Sequence[str]) -> Callable[[], None]:
    """Return a function that prints the names of the experiments that have ended since."""
    reported: set[str] = set()

    def report() -> None:
        refs = run_git(Path(), "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
        ended = {ref.rpartition("/")[2] for ref in refs} & set(names)
        for name in sorted(ended - reported):
            reported.add(name)
            click.echo(f"done ({len(reported)} of {len(names)}): {name}")

    return report


def report_missing(missing: Sequence[queueing.Experiment]) -> None:
    """Print why experiments have no result, and what to do."""
    for experiment in missing:
        text = experiment_log.read_log(experiment)
        lines = experiment_log.find_errors(experiment_log.split_lines(text))
        reason = f": {lines[0]}" if lines else ""
        click.echo(f"{experiment.state}: {experiment.name}{reason}", err=True)
    number = "one experiment has" if len(missing) == 1 else f"{len(missing)} experiments have"
    click.echo(
        f"{number} no result; `make logs NAME=…` shows the output, and the same command runs again "
        "what is missing, from its checkpoints",
        err=True,
    )


def show_summary(title: str, summary: run_summary.Summary) -> None:
    """Print the summary and write its page."""
    click.echo("\n".join(["", *run_summary.format_summary(summary)]))
    commit = run_git(Path(), "rev-parse", "--short", "HEAD").strip()
    page = PAGES / f"{grid.make_name([title.lower()])}.html"
    sweep_page.write_page(title, commit, summary, page)
    click.echo(f"\nThe page for your browser: {page}")


def choose_suite(values: dict[str, Any]) -> str:
    """Return the suite that decides by default: that of the first gate, else the first task."""
    gates = values.get("evaluate", {}).get("gates", [])
    sources = values.get("prepare", {}).get("sources", [])
    first = sources[0] if sources else {}
    task = first.get("task", Path(first.get("path", "")).stem)
    return str(gates[0]["suite"] if gates else task)


def read_seed() -> int:
    """Return the seed of params.yaml."""
    return int(params.parse()["seed"])


if __name__ == "__main__":
    set_library_variables()
    with exit_on_mistake():
        main(standalone_mode=False)
