"""Run the folders of 38 model families through the pipeline and write docs/models.md."""

import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import click

from lockstep.models import lean_imports
from lockstep.verify.model_families import models_page
from lockstep.verify.model_families.all_families import FAMILIES
from lockstep.verify.model_families.family_run import (
    Cell,
    FamilyResult,
    list_failures,
    run_family,
)

PAGE = Path("docs/models.md")
PROCESSES = 2
"""Number of families that run at the same time."""
TIME_LIMIT = 300
"""Seconds after which a family is stopped."""


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice([*FAMILIES]), metavar="[NAME]...")
def main(names: tuple[str, ...]) -> None:
    """Run all families and write the page, or run the named ones and only print the results."""
    started = time.perf_counter()
    _prepare_libraries()
    scratch = Path(tempfile.mkdtemp(prefix="lockstep-models-")).resolve()
    results: dict[str, FamilyResult] = {}
    try:
        for name, result in run_families(names or [*FAMILIES], scratch):
            results[name] = result
            failures = list_failures(result) or {"": "ok"}
            for column, failure in failures.items():
                click.echo(": ".join(filter(None, ("models", name, column, failure))), err=True)
    finally:
        shutil.rmtree(scratch)
    if not names:
        PAGE.write_text(models_page.build_page(FAMILIES, results), encoding="utf-8")
    passed = sum(not list_failures(result) for result in results.values())
    seconds = time.perf_counter() - started
    click.echo(f"models: {passed} of {len(results)} families pass ({seconds:.0f} s)", err=True)


def run_families(names: Sequence[str], scratch: Path) -> Iterator[tuple[str, FamilyResult]]:
    """Run each family in a process of its own and yield the results in the order of their ends.

    The processes are forked after the libraries are imported, which takes longer than a family.
    """
    fork = multiprocessing.get_context("fork")
    waiting = list(names)
    running: dict[Any, tuple[str, Any, float]] = {}
    while waiting or running:
        while waiting and len(running) < PROCESSES:
            name = waiting.pop(0)
            (scratch / name).mkdir()
            process = fork.Process(target=_run_in_child, args=(name, scratch / name))
            process.start()
            running[process.sentinel] = (name, process, time.monotonic() + TIME_LIMIT)
        deadline = min(end for _, _, end in running.values())
        ended: list[Any] = wait([*running], max(0.0, deadline - time.monotonic()))
        if not ended:
            for sentinel, (_, process, end) in running.items():
                if end <= time.monotonic():
                    process.kill()
                    ended.append(sentinel)
        for sentinel in ended:
            name, process, _ = running.pop(sentinel)
            process.join()
            yield name, _read_result(scratch / name, process.exitcode)
            shutil.rmtree(scratch / name)


def _run_in_child(name: str, workspace: Path) -> None:
    result = run_family(FAMILIES[name], workspace)
    cells = {column: (cell.status, cell.reason) for column, cell in result.items()}
    (workspace / "result.json").write_text(json.dumps(cells), encoding="utf-8")


def _read_result(workspace: Path, exit_code: int | None) -> FamilyResult:
    """Return the result that a process wrote, or that it died."""
    path = workspace / "result.json"
    if not path.exists():
        return {"base": Cell("crashes", f"the process ended with code {exit_code}")}
    cells = json.loads(path.read_text(encoding="utf-8"))
    return {column: Cell(status, reason) for column, (status, reason) in cells.items()}


def _prepare_libraries() -> None:
    """Import the heavy libraries once, quiet and offline, in the order of the stages."""
    os.environ.update(
        HF_HUB_OFFLINE="1",
        OMP_NUM_THREADS="1",
        TOKENIZERS_PARALLELISM="false",
        TRANSFORMERS_VERBOSITY="error",
        TRL_EXPERIMENTAL_SILENCE="1",
    )
    lean_imports.leave_out_bitsandbytes()
    import peft  # noqa: F401  children inherit it
    import transformers
    import trl.trainer.sft_trainer  # noqa: F401  children inherit it

    transformers.logging.disable_progress_bar()
    lean_imports.restore_bitsandbytes()


if __name__ == "__main__":
    main()
