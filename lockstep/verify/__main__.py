"""Prove that the commit gives the same bytes elsewhere, from what its stages declare alone.

The committed state is cloned to a temporary folder with another path, HOME, time zone, locale,
umask and hash seed and no cache, run from nothing, and every hash of its dvc.lock compared with
the committed one. On another machine class than the lock was made on, two such clones are
compared with each other instead. Needs the disk space of one whole run (TMPDIR says where).

In every stage the accesses to the repository's files and to the network are witnessed by
verify/hook/sitecustomize.py, which says how. It does not see: reads outside the repository; reads
and sockets of native code and of other programs, except that on Linux no file of the repository
is opened unseen by anybody; whether a file exists; environment variables and the clock, which
only their effect on the bytes betrays.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from lockstep.errors import UserError
from lockstep.models.machine import machine_class
from lockstep.verify import accesses, locks
from lockstep.verify.clone import AWAY, FAR_AWAY, Clone, clone, git, read_lock


def committed(root: Path) -> str:
    """The commit to verify; raises UserError where the work tree has something else."""
    try:
        commit = git(root, "rev-parse", "--verify", "HEAD").strip()
    except subprocess.CalledProcessError:
        raise UserError(f"{root}: no commit to verify; commit first") from None
    status = git(root, "status", "--porcelain", "--untracked-files=no", "-z")
    changed = [entry[3:] for entry in status.split("\0") if entry[2:3] == " "]
    if changed:
        raise UserError(f"uncommitted changes in {', '.join(changed)}; commit or stash them")
    if not git(root, "ls-tree", "HEAD", "dvc.lock"):
        raise UserError("dvc.lock: not in the commit; `dvc repro`, then commit it")
    return commit


def recorded_classes(root: Path) -> dict[str, dict[str, Any]]:
    """Stage -> the machine class on which its committed result was made."""
    files = sorted((root / "reports" / "provenance").glob("*.json"))
    return {file.stem: json.loads(file.read_bytes())["machine"] for file in files}


def origin(lock: dict[str, Any], differing: Sequence[str]) -> str | None:
    """The first of the stages that differ which depends on no other of them."""
    known = [stage for stage in differing if stage in lock]
    outs = {stage: locks.paths(lock[stage], "out") for stage in known}
    for stage in known:
        others = [path for other in known if other != stage for path in outs[other]]
        deps = locks.paths(lock[stage], "dep")
        if not any(f"{dep}/".startswith(f"{path}/") for dep in deps for path in others):
            return stage
    return None


def named(difference: locks.Difference, caches: Sequence[Path], root: Path) -> str:
    """A line that says what differs, by the files of a folder where they can be told."""
    if difference.kind == "stage":
        return f"{difference.stage}: is in one dvc.lock only"
    line = f"{difference.stage}: {difference.kind} {difference.path}".rstrip()
    files = locks.files_that_differ(difference.hashes, caches)
    if files is None and difference.hashes[0].endswith(".dir"):
        files = _tracked_files_that_differ(difference.path, root)
        if not files:
            return f"{line} (the committed folder is in no cache here: its files have no names)"
    return f"{line}: {', '.join(files)}" if files else line


def table(stages: Sequence[str], times: dict[str, float], differing: set[str]) -> Iterator[str]:
    width = max(len(stage) for stage in ("stage", *stages))
    yield f"{'stage':{width}}  seconds  result"
    for stage in stages:
        result = "differs" if stage in differing else "identical"
        yield f"{stage:{width}}  {times.get(stage, 0):7.1f}  {result}"


@click.command(help=__doc__)
def main() -> None:
    root = Path.cwd()
    commit = committed(root)
    scratch = Path(tempfile.mkdtemp(prefix="lockstep-verify-")).resolve()
    keep = False
    try:
        keep = not verify(root, commit, scratch)
    finally:
        if not keep:
            shutil.rmtree(scratch)
    if keep:
        click.echo(f"The clones are kept at {scratch}", err=True)
        sys.exit(1)


def verify(root: Path, commit: str, scratch: Path) -> bool:
    """Run the clones that it takes and say what came out; whether all was well."""
    clones = [clone(root, commit, scratch, AWAY)]
    recorded = recorded_classes(clones[0].root)
    if not _reproduced(clones[0], commit):
        return False
    found, caches = clones[0].lock(), [clones[0].cache, _cache(root)]
    committed_lock = read_lock(git(root, "show", f"{commit}:dvc.lock"))
    differing = list(locks.differences(committed_lock, found))
    here = machine_class()
    first = origin(found, list(dict.fromkeys(one.stage for one in differing)))
    foreign = {}
    if first and (machine := recorded.get(first.replace("@", "-"), here)) != here:
        foreign = {first: machine}
    if foreign:  # which is why it differs: the clone is held against another one made here
        clones.append(clone(root, commit, scratch, FAR_AWAY))
        if not _reproduced(clones[1], commit):
            return False
        caches = [each.cache for each in clones]
        differing = list(locks.differences(clones[1].lock(), found))
    logs = {s: accesses.read_log(clones[0].logs / f"{s}.jsonl") for s in found}
    times = {stage: accesses.seconds(log) for stage, log in logs.items() if log}
    broken = {f"{stage} {line}" for each in clones for stage, line in _breaches(each)}

    for line in table(list(found), times, {d.stage for d in differing}):
        click.echo(line)
    for difference in differing:
        click.echo(named(difference, caches, clones[0].root))
    for line in [*sorted(broken), *sorted(_blind(clones))]:
        click.echo(line)
    click.echo(_verdict(commit, foreign, here, {d.stage for d in differing}, broken))
    return not differing and not broken


def _reproduced(run: Clone, commit: str) -> bool:
    if run.reproduce():
        return True
    click.echo(f"dvc repro failed in a clone of {commit[:12]}")
    return False


def _breaches(run: Clone) -> Iterator[tuple[str, str]]:
    for stage, entry in run.lock().items():
        log = accesses.read_log(run.logs / f"{stage}.jsonl")
        for line in accesses.breaches(log, accesses.declared(stage, entry, run.root)):
            yield stage, line


def _blind(clones: list[Clone]) -> set[str]:
    return {
        f"{file.stem} was not seen whole: {reason}"
        for each in clones
        for file in each.logs.glob("*.jsonl")
        for reason in accesses.blind_spots(accesses.read_log(file))
    }


def _verdict(
    commit: str,
    foreign: dict[str, Any],
    here: dict[str, Any],
    differing: set[str],
    broken: set[str],
) -> str:
    against = "its committed dvc.lock"
    before = ""
    if foreign:
        stage, made_on = next(iter(foreign.items()))
        against = "a second clone"
        before = (
            f"The committed dvc.lock was made on another machine class ({stage}: "
            f"{_words(made_on)}) than this one ({_words(here)}) and differs, as it may. "
        )
    if differing or broken:
        ills = [f"{len(differing)} stages differ from {against}"] if differing else []
        ills += [f"{len(broken)} undeclared accesses"] if broken else []
        return f"{before}Not verified: commit {commit[:12]}: {', '.join(ills)}."
    return (
        f"{before}Verified: a clone of commit {commit[:12]} gives every hash of {against}, "
        "and every stage touches only what it declares."
    )


def _words(machine: dict[str, Any]) -> str:
    return ", ".join(str(value) for value in machine.values() if value)


def _cache(root: Path) -> Path:
    """The work tree's DVC cache, wherever it is configured to be."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"],
        cwd=root,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return Path(done.stdout.strip())


def _tracked_files_that_differ(path: str, root: Path) -> list[str]:
    """For an out that git tracks instead of DVC's cache."""
    changed = git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", path)
    return [str(Path(entry[3:]).relative_to(path)) for entry in changed.split("\0") if entry]


if __name__ == "__main__":
    main()
