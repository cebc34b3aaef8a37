"""Checkpoints that are whole or absent, and found again by what determines the run."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.models.compute import RuntimeParams

MANIFEST = "manifest.json"


class Run:
    """The checkpoints of one run of one training: folders named by their optimizer step."""

    def __init__(self, folder: Path, every: int, kept: int) -> None:
        self.folder = folder
        self.every = every
        """Optimizer steps between two of them; 0: only when the run is stopped."""
        self.kept = kept

    def newest(self) -> Path | None:
        """The newest checkpoint whose every byte is as it was written; None to start anew.

        Those that are not are named on stderr and removed.
        """
        for checkpoint in sorted(self._all(), reverse=True):
            if problem := _damage(checkpoint):
                click.echo(f"train: {checkpoint}: {problem}; an earlier state is used", err=True)
                outputs.remove(checkpoint)
            else:
                return checkpoint
        return None

    def at(self, step: int) -> Path:
        """Where the checkpoint of an optimizer step lies."""
        return self.folder / f"step-{step:09d}"

    def partial(self, step: int) -> Path:
        """Where it is written, until `finish`."""
        return self.folder / f".step-{step:09d}.partial"

    def finish(self, step: int) -> None:
        """Seal what was written to `partial(step)`, then forget all but the newest checkpoints.

        The bytes are on the disk before the folder has its name; what has no name is not read.
        """
        partial = self.partial(step)
        outputs.write_json(partial / MANIFEST, _digests(partial))
        outputs.flush(partial)
        outputs.remove(self.at(step))
        partial.rename(self.at(step))
        outputs.flush(self.folder)
        for old in sorted(self._all())[: -self.kept]:
            outputs.remove(old)

    def check_space(self, bytes_each: int) -> None:
        """Refuse a run whose checkpoints would fill the disk, before it starts."""
        needed = (self.kept + 1) * bytes_each
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"{self.folder}: {self.kept + 1} checkpoints of {bytes_each / 1e9:.2f} GB do not "
                f"fit into {free / 1e9:.2f} GB; free space or lower runtime.checkpoints_kept"
            )

    def remove(self) -> None:
        """Forget the run: its result is written."""
        outputs.remove(self.folder)

    def _all(self) -> list[Path]:
        return list(self.folder.glob("step-*"))


@contextmanager
def opened(root: Path, key: str, runtime: RuntimeParams) -> Iterator[Run]:
    """The run of that key below `root`, for this process alone: another that wants it waits.

    Of several machines the first holds it for all.
    """
    folder, every, kept = root / key, runtime.checkpoint_steps, runtime.checkpoints_kept
    root.mkdir(parents=True, exist_ok=True)
    if runtime.launch.machine:
        yield Run(folder, every, kept)
        return
    with _locked(root / f"{key}.lock"):
        folder.mkdir(exist_ok=True)
        for partial in folder.glob(".step-*"):
            outputs.remove(partial)
        yield Run(folder, every, kept)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock until the block or the process ends; the file names its owner."""
    while True:
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = path.read_text() or "another"
                click.echo(f"train: process {owner} trains the same; waiting for its end", err=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists() or path.stat().st_ino != os.fstat(lock.fileno()).st_ino:
                continue  # the one before us removed the file that we had opened
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                path.unlink()
            return


def _digests(folder: Path) -> dict[str, str]:
    """sha256 of every file below but the manifest, by relative path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = digest
    return found


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, None if nothing is."""
    try:
        written = json.loads((checkpoint / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return "no readable manifest"
    there = _digests(checkpoint)
    if not isinstance(written, dict) or there.keys() != written.keys():
        return "files are missing"
    changed = sorted(name for name in there if there[name] != written[name])
    return f"{changed[0]} has changed" if changed else None
