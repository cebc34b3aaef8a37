"""Prove that a commit gives the same bytes elsewhere and that its stages declare all they use.

The committed state is cloned into a temporary folder with another path, HOME, time zone, locale,
umask and hash seed and an empty cache. The clone runs from nothing, and every hash of its dvc.lock
is compared with the committed one. If the committed dvc.lock comes from another machine class, two
such clones are compared with each other instead. The disk must hold one or two whole runs;
TMPDIR names the folder.

lockstep/verify/hook/sitecustomize.py logs which files of the repository each stage opens and which
sockets it uses. A stage may connect to the network only if its params name an endpoint or a model
on the Hugging Face Hub. The log lacks: reads outside the repository; sockets of native code and of
other programs, and on systems other than Linux also their files; tests whether a file exists;
environment variables and the clock, which show only in the bytes that they change.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from lockstep import params
from lockstep.errors import UserError
from lockstep.models.instruction_sets import read_portable
from lockstep.models.machine import read_machine_class
from lockstep.verify import accesses, locks
from lockstep.verify.clone import FIRST, SECOND, Clone, clone_commit, parse_lock, run_git


@click.command(help=__doc__)
def main() -> None:
    """Verify HEAD of the repository in the current folder."""
    root = Path.cwd()
    commit = check_committed(root)
    scratch = Path(tempfile.mkdtemp(prefix="lockstep-verify-")).resolve()
    failed = False
    try:
        failed = not verify(root, commit, scratch)
    finally:
        if not failed:
            shutil.rmtree(scratch)
    if failed:
        click.echo(f"Look into the clones in {scratch}, then delete that folder.", err=True)
        sys.exit(1)


def check_committed(root: Path) -> str:
    """Return the hash of HEAD; raise UserError if the work tree differs or HEAD has no results."""
    try:
        commit = run_git(root, "rev-parse", "--verify", "HEAD").strip()
    except subprocess.CalledProcessError:
        raise UserError(f"{root}: no commit to verify; commit first") from None
    status = run_git(root, "status", "--porcelain", "--untracked-files=no", "-z")
    changed = [entry[3:] for entry in status.split("\0") if entry[2:3] == " "]
    if changed:
        raise UserError(f"uncommitted changes in {', '.join(changed)}; commit or stash them")
    if not run_git(root, "ls-tree", "HEAD", "dvc.lock"):
        raise UserError("dvc.lock: not in the commit; `dvc repro`, then commit it")
    return commit


def verify(root: Path, commit: str, scratch: Path) -> bool:
    """Run one or two clones of the commit, print the result and return whether it is verified."""
    clones = [clone_commit(root, commit, scratch, FIRST)]
    recorded_machines = read_machine_classes(clones[0].root)
    if not _run_clone(clones[0], commit):
        return False
    lock, caches = clones[0].read_lock(), [clones[0].cache, _find_cache(root)]
    committed_lock = parse_lock(run_git(root, "show", f"{commit}:dvc.lock"))
    differences = list(locks.compare_locks(committed_lock, lock))
    this_machine = read_machine_class(read_portable(clones[0].root / params.FILE))
    origin = find_origin(lock, list(dict.fromkeys(difference.stage for difference in differences)))
    other_machines = {}
    if origin:
        machine = recorded_machines.get(origin.replace("@", "-"), this_machine)
        if machine != this_machine:
            other_machines = {origin: machine}
    if other_machines:  # they explain the differences: compare two clones on this machine
        clones.append(clone_commit(root, commit, scratch, SECOND))
        if not _run_clone(clones[1], commit):
            return False
        caches = [clone.cache for clone in clones]
        differences = list(locks.compare_locks(clones[1].read_lock(), lock))
    logs = {stage: accesses.read_log(clones[0].logs / f"{stage}.jsonl") for stage in lock}
    times = {stage: accesses.measure_seconds(log) for stage, log in logs.items() if log}
    undeclared = {line for clone in clones for line in _find_undeclared(clone)}
    differing = {difference.stage for difference in differences}

    for line in format_table(list(lock), times, differing):
        click.echo(line)
    for difference in differences:
        click.echo(describe_difference(difference, caches, clones[0].root))
    for line in [*sorted(undeclared), *sorted(_find_unobserved(clones))]:
        click.echo(line)
    click.echo(_format_verdict(commit, other_machines, this_machine, differing, undeclared))
    return not differences and not undeclared


def read_machine_classes(root: Path) -> dict[str, dict[str, Any]]:
    """Map each stage to the machine class that made its committed result."""
    files = sorted((root / "reports" / "provenance").glob("*.json"))
    return {file.stem: json.loads(file.read_bytes())["machine"] for file in files}


def find_origin(lock: dict[str, Any], differing: Sequence[str]) -> str | None:
    """Return the first differing stage that depends on no other differing stage."""
    known = [stage for stage in differing if stage in lock]
    outs = {stage: locks.read_hashes(lock[stage], "out") for stage in known}
    for stage in known:
        others = [path for other in known if other != stage for path in outs[other]]
        deps = locks.read_hashes(lock[stage], "dep")
        if not any(f"{dep}/".startswith(f"{path}/") for dep in deps for path in others):
            return stage
    return None


def format_table(
    stages: Sequence[str], times: dict[str, float], differing: Collection[str]
) -> Iterator[str]:
    """Yield a header and a line for each stage: its seconds, and whether its hashes are equal."""
    width = max(len(stage) for stage in ("stage", *stages))
    yield f"{'stage':{width}}  seconds  result"
    for stage in stages:
        result = "differs" if stage in differing else "identical"
        yield f"{stage:{width}}  {times.get(stage, 0):7.1f}  {result}"


def describe_difference(difference: locks.Difference, caches: Sequence[Path], root: Path) -> str:
    """Describe a difference in one line, with the names of the files inside a folder."""
    if difference.kind == "stage":
        return f"{difference.stage}: is in one dvc.lock only"
    line = f"{difference.stage}: {difference.kind} {difference.path}".rstrip()
    files = locks.list_changed_files(difference.hashes, caches)
    if files is None and difference.hashes[0].endswith(".dir"):
        files = _list_changed_tracked_files(difference.path, root)
        if not files:
            return f"{line} (files unknown: no cache on this machine has the committed folder)"
    return f"{line}: {', '.join(files)}" if files else line


def _run_clone(clone: Clone, commit: str) -> bool:
    succeeded = clone.reproduce()
    if not succeeded:
        click.echo(f"dvc repro failed in a clone of {commit[:12]}")
    return succeeded


def _find_undeclared(clone: Clone) -> Iterator[str]:
    for stage, entry in clone.read_lock().items():
        log = accesses.read_log(clone.logs / f"{stage}.jsonl")
        declaration = accesses.read_declaration(stage, entry, clone.root)
        for line in accesses.find_undeclared(log, declaration):
            yield f"{stage} {line}"


def _find_unobserved(clones: list[Clone]) -> set[str]:
    return {
        f"{file.stem} was not fully observed: {reason}"
        for clone in clones
        for file in clone.logs.glob("*.jsonl")
        for reason in accesses.find_unobserved(accesses.read_log(file))
    }


def _format_verdict(
    commit: str,
    other_machines: dict[str, Any],
    this_machine: dict[str, Any],
    differing: Collection[str],
    undeclared: Collection[str],
) -> str:
    reference, note = "its committed dvc.lock", ""
    if other_machines:
        stage, machine = next(iter(other_machines.items()))
        reference = "a second clone"
        note = (
            f"The committed dvc.lock was made on another machine class ({stage}: "
            f"{_format_machine(machine)}) than this one ({_format_machine(this_machine)}), "
            "so its hashes may differ. "
        )
    if differing or undeclared:
        problems = [f"{len(differing)} stages differ from {reference}"] if differing else []
        problems += [f"{len(undeclared)} undeclared accesses"] if undeclared else []
        return f"{note}Not verified: commit {commit[:12]}: {', '.join(problems)}."
    return (
        f"{note}Verified: a clone of commit {commit[:12]} gives every hash of {reference}, "
        "and every stage uses only what it declares."
    )


def _format_machine(machine: dict[str, Any]) -> str:
    return ", ".join(str(value) for value in machine.values() if value)


def _find_cache(root: Path) -> Path:
    """Return the DVC cache of the work tree, wherever its configuration puts it."""
    process = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"],
        cwd=root,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return Path(process.stdout.strip())


def _list_changed_tracked_files(path: str, root: Path) -> list[str]:
    """Return the changed files of an out that git tracks instead of DVC's cache."""
    changed = run_git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", path)
    return [str(Path(entry[3:]).relative_to(path)) for entry in changed.split("\0") if entry]


if __name__ == "__main__":
    main()
