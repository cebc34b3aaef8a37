"""Compare the time of stages with and without `compute.portable`: `python -m benchmarks.portable`.

It needs the outputs of `make` and an x86-64 CPU with AVX2. Each stage runs on the same inputs in
its own process, `--repeats` times in turn with each setting; the median counts. CPU time varies
less than wall time if other processes use the cores.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from lockstep.errors import UserError
from lockstep.models import instruction_sets

STAGES = ("train", "merge", "quantize", "predict", "evaluate")
VARIANT = "merged"
"""Variant that `predict` asks."""
_YAML = YAML(typ="safe", pure=True)


@dataclass(frozen=True, slots=True)
class Times:
    """Times of a process in seconds."""

    wall: float
    cpu: float


def build_command(stage: str) -> list[str]:
    """Return the command of a stage in dvc.yaml, with `out` as its output."""
    text = _YAML.load(Path("dvc.yaml"))["stages"][stage]["cmd"]
    words = text.replace("${item.variant}", VARIANT).split()[1:-1]
    return [sys.executable, *words[1:], "out"]


def time_stage(stage: str, portable: bool) -> Times:
    """Run a stage in a temporary folder and return its times."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as name:
        folder = Path(name)
        (folder / "data").symlink_to(Path("data").resolve())
        values = _YAML.load(Path("params.yaml"))
        values["compute"]["portable"] = portable
        with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
            _YAML.dump(values, stream)
        inherited = {name: v for name, v in os.environ.items() if not name.startswith("DVC_")}
        started = time.perf_counter()
        with (folder / "output").open("w+", encoding="utf-8") as output:
            process = subprocess.Popen(  # noqa: S603 - words of dvc.yaml, no shell line
                build_command(stage), cwd=folder, stdout=output, stderr=output,
                env={**inherited, "PYTHONPATH": str(Path.cwd())},
            )  # fmt: skip
            _, status, usage = os.wait4(process.pid, 0)
            output.seek(0)
            text = output.read()
        if status:
            raise click.ClickException(f"stage {stage} failed:\n{text[-2000:]}")
        return Times(time.perf_counter() - started, usage.ru_utime + usage.ru_stime)


def format_table(times: dict[str, dict[bool, Times]]) -> Iterator[str]:
    """Yield a header and a line for each stage and for all of them together."""
    yield f"{'':10}  {'wall time in seconds':^25}  {'CPU time in seconds':^25}"
    yield f"{'stage':10}" + 2 * f"  {'native':>8} {'portable':>8} {'ratio':>7}"
    for stage in times:
        yield _format_line(stage, times[stage])
    total = {
        portable: Times(
            sum(values[portable].wall for values in times.values()),
            sum(values[portable].cpu for values in times.values()),
        )
        for portable in (False, True)
    }
    yield _format_line("all", total)


def _format_line(title: str, times: dict[bool, Times]) -> str:
    pairs: Sequence[tuple[float, float]] = (
        (times[False].wall, times[True].wall),
        (times[False].cpu, times[True].cpu),
    )
    cells = (f"  {before:8.1f} {after:8.1f} {after / before:7.2f}" for before, after in pairs)
    return f"{title:10}{''.join(cells)}"


def take_medians(runs: Sequence[Times]) -> Times:
    """Return the median of each time."""
    return Times(
        statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
    )


@click.command(help=__doc__)
@click.argument("stages", nargs=-1, type=click.Choice(STAGES))
@click.option("--repeats", default=1, show_default=True, help="Number of runs for each setting.")
def main(stages: tuple[str, ...], repeats: int) -> None:
    """Measure the stages and print a table."""
    if not instruction_sets.has_required_instructions():
        raise UserError(instruction_sets.describe_missing_instructions())
    times: dict[str, dict[bool, Any]] = {}
    for stage in stages or STAGES:
        runs: dict[bool, list[Times]] = {False: [], True: []}
        for _ in range(repeats):
            for portable, measured in runs.items():
                measured.append(time_stage(stage, portable))
        times[stage] = {portable: take_medians(measured) for portable, measured in runs.items()}
    for line in format_table(times):
        click.echo(line)


if __name__ == "__main__":
    main()
