"""Checkpoints of a training run, in a folder that the resume key names.

A checkpoint is either complete or absent.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.models.compute import RuntimeParams

MANIFEST = "manifest.json"
"""File of a checkpoint that holds the sha256 of every other file."""


class Checkpoints:
    """The checkpoints of one training run: a folder per optimizer step.

    `save_steps` is the number of optimizer steps between two checkpoints, or "epoch"; 0 saves one
    only when the run is interrupted. `limit` is the number of newest checkpoints that are kept.
    """

    def __init__(self, folder: Path, save_steps: int | Literal["epoch"], limit: int) -> None:
        self.folder = folder
        self.save_steps = save_steps
        self.limit = limit

    def find_newest(self) -> Path | None:
        """Return the newest intact checkpoint, or None if there is none.

        Damaged checkpoints are removed, with a line on stderr.
        """
        for checkpoint in sorted(self._list(), reverse=True):
            if damage := _find_damage(checkpoint):
                click.echo(f"train: {checkpoint}: {damage}; an earlier state is used", err=True)
                outputs.remove(checkpoint)
            else:
                return checkpoint
        return None

    def get_newest_step(self) -> int:
        """Return the optimizer step of the newest checkpoint, without a look into it; else 0."""
        return max((int(folder.name.partition("-")[2]) for folder in self._list()), default=0)

    def get_path(self, step: int) -> Path:
        """Return the folder of the checkpoint of an optimizer step."""
        return self.folder / f"step-{step:09d}"

    def get_partial_path(self, step: int) -> Path:
        """Return the folder to which a checkpoint is written before it is complete."""
        return self.folder / f".step-{step:09d}.partial"

    def commit(self, step: int) -> None:
        """Turn the folder `get_partial_path(step)` into a checkpoint and remove the oldest ones.

        The bytes reach the disk before the folder gets its final name.
        """
        partial = self.get_partial_path(step)
        outputs.write_json(partial / MANIFEST, _hash_files(partial))
        outputs.flush(partial)
        outputs.remove(self.get_path(step))
        partial.rename(self.get_path(step))
        outputs.flush(self.folder)
        for old in sorted(self._list())[: -self.limit]:
            outputs.remove(old)

    def check_space(self, checkpoint_bytes: int) -> None:
        """Raise UserError if the checkpoints of the run do not fit on the disk."""
        needed = (self.limit + 1) * checkpoint_bytes
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"{self.folder}: {self.limit + 1} checkpoints of {checkpoint_bytes / 1e9:.2f} GB "
                f"do not fit into {free / 1e9:.2f} GB; free space or lower "
                "runtime.checkpoints_kept"
            )

    def remove(self) -> None:
        """Remove all checkpoints of the run."""
        outputs.remove(self.folder)

    def _list(self) -> list[Path]:
        return list(self.folder.glob("step-*"))


@contextmanager
def open_checkpoints(root: Path, key: str, runtime: RuntimeParams) -> Iterator[Checkpoints]:
    """Yield the checkpoints of the run with this resume key, in a folder below `root`.

    The folder is locked: a second process with the same key waits until the block ends. If
    several machines train, only machine 0 takes the lock.
    """
    folder = root / key
    checkpoints = Checkpoints(folder, runtime.checkpoint_steps, runtime.checkpoints_kept)
    root.mkdir(parents=True, exist_ok=True)
    if runtime.launch.machine:
        yield checkpoints
        return
    with _lock(root / f"{key}.lock"):
        folder.mkdir(exist_ok=True)
        for partial in folder.glob(".step-*"):
            outputs.remove(partial)
        yield checkpoints


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock file until the block or the process ends; the file names the process id."""
    while True:
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = path.read_text() or "another"
                click.echo(
                    f"train: process {owner} runs the same training; waiting until it ends",
                    err=True,
                )
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists() or path.stat().st_ino != os.fstat(lock.fileno()).st_ino:
                continue  # the previous owner removed the file after this process opened it
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            try:
                yield
            finally:
                path.unlink()
            return


def _hash_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder except the manifest, by relative path."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            digests[path.relative_to(folder).as_posix()] = digest
    return digests


def _find_damage(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint; None if it is intact."""
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return "no readable manifest"
    digests = _hash_files(checkpoint)
    if not isinstance(manifest, dict) or digests.keys() != manifest.keys():
        return "files are missing"
    changed = sorted(name for name in digests if digests[name] != manifest[name])
    return f"{changed[0]} has changed" if changed else None
