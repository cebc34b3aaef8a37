"""Prove that dvc.lock matches dvc.yaml, params, code and data (`make lock`).

This needs neither a cache nor a remote: outputs that DVC caches may be missing, files that git
tracks may not. Exits with 1 if a stage would run again.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from lockstep.errors import UserError
from lockstep.verify import clone, locks

Reasons = dict[str, list[str]]
"""Stages that would run again, each with what changed."""

_STALE = re.compile(r"^Running stage '(.+)':$", re.MULTILINE)
_STOPPED = re.compile(r"^ERROR: failed to reproduce '(.+?)':", re.MULTILINE)
"""A stage that would run, too, but whose inputs the stages before it would write."""
_CURRENT = "Data and pipelines are up to date."


def find_stale_stages(root: Path) -> Reasons:
    """Return the stages whose inputs or git-tracked outputs differ from dvc.lock.

    A stage after them is listed only if something else changed for it, too. Raises UserError if
    DVC cannot tell, e.g. since dvc.yaml is no valid YAML.
    """
    if not (root / "dvc.lock").is_file():
        raise UserError("dvc.lock is missing; run `dvc repro`, or restore it from git")
    process = _run_dvc(root, "repro", "--allow-missing", "--dry")
    stale = {stage: ["its inputs changed"] for stage in _STALE.findall(process.stdout)}
    stale |= {stage: ["its inputs changed"] for stage in _STOPPED.findall(process.stderr)}
    if not stale and (process.returncode or _CURRENT not in process.stdout):
        raise UserError(f"dvc repro --allow-missing --dry: {_get_first_line(process)}")
    process = _run_dvc(root, "status", "--json")
    if process.returncode:
        raise UserError(f"dvc status: {_get_first_line(process)}")
    status: dict[str, list[Any]] = json.loads(process.stdout)
    cached = _list_cached_outputs(root)
    changes = {stage: [*_list_changes(entries, cached)] for stage, entries in status.items()}
    return stale | {stage: reasons for stage, reasons in changes.items() if reasons}


def describe_lock(stale: Reasons) -> str:
    """Say in one line whether dvc.lock is up to date, and what to do if it is not."""
    if not stale:
        return "dvc.lock matches dvc.yaml, params, code and data"
    stages = "; ".join(f"{stage} ({', '.join(reasons)})" for stage, reasons in stale.items())
    return (
        f"dvc.lock is out of date: {stages}; "
        "run `dvc repro`, then commit dvc.lock and reports/ together"
    )


def _list_changes(entries: list[Any], cached: set[str]) -> Iterator[str]:
    """Yield what changed for a stage, from its entries in `dvc status --json`."""
    for entry in entries:
        if isinstance(entry, str):  # "changed command"
            yield entry
            continue
        for path, change in (entry.get("changed deps", {}) | entry.get("changed outs", {})).items():
            if isinstance(change, dict):
                yield from (f"{path} {name} {kind}" for name, kind in change.items())
            elif path not in cached:
                yield f"{path} {change}"
            elif change in ("modified", "new"):
                yield f"{path} is not the one of dvc.lock, `dvc checkout` restores it"


def _list_cached_outputs(root: Path) -> set[str]:
    """Return the outputs that git does not track and what stages read from them.

    A fresh clone lacks them. Any other path is missing only because somebody deleted it.
    """
    yaml = YAML(typ="safe", pure=True)
    tracked = {
        path
        for stage in yaml.load(root / "dvc.yaml")["stages"].values()
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get(kind, [])
        if isinstance(entry, dict)
        for path, settings in entry.items()
        if settings.get("cache") is False
    }
    stages = clone.parse_lock((root / "dvc.lock").read_text(encoding="utf-8")).values()
    outputs = {path for entry in stages for path in locks.read_hashes(entry, "out")} - tracked
    inputs = {path for entry in stages for path in locks.read_hashes(entry, "dep")}
    return outputs | {path for path in inputs if any(path.startswith(f"{out}/") for out in outputs)}


def _run_dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - dvc alone, no shell
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root, check=False, capture_output=True, encoding="utf-8",
    )  # fmt: skip


def _get_first_line(process: subprocess.CompletedProcess[str]) -> str:
    return (f"{process.stderr}{process.stdout}".strip().splitlines() or ["no answer"])[0]


@click.command(help=__doc__)
def main() -> None:
    """Print whether dvc.lock is up to date; exit with 1 if it is not."""
    stale = find_stale_stages(Path())
    click.echo(describe_lock(stale))
    sys.exit(bool(stale))


if __name__ == "__main__":
    main()
