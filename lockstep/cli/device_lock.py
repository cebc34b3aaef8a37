"""Locks on GPUs, so that two stages never use one GPU at the same time by accident.

A lock is a file in the system's folder for temporary files that the kernel unlocks when the process
ends, however it ends. All clones and users of a machine share these files.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click


def list_visible_devices(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the GPUs that a process may use, by UUID if the driver's tool tells it.

    These are those that CUDA_VISIBLE_DEVICES names, or else all GPUs of the machine.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return []
    uuids = _query_uuids()
    if visible is None:
        return sorted(uuids.values())
    names = [name.strip() for name in visible.split(",")]
    return sorted({_find_uuid(name, uuids) for name in names})


def _query_uuids() -> dict[str, str]:
    """Return index -> UUID of each GPU in the order of nvidia-smi; empty without the tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    query = [tool, "--query-gpu=index,uuid", "--format=csv,noheader"]
    process = subprocess.run(  # noqa: S603 - fixed words
        query, capture_output=True, text=True, check=False
    )
    rows = [line.partition(", ") for line in process.stdout.splitlines() if ", " in line]
    return {} if process.returncode else {index: uuid for index, _, uuid in rows}


def _find_uuid(name: str, uuids: Mapping[str, str]) -> str:
    """Return the UUID of a GPU from its index or the start of its UUID; the name if unknown."""
    matches = [uuid for uuid in uuids.values() if uuid.startswith(name)]
    return uuids.get(name, matches[0] if len(matches) == 1 else name)


def get_lock_folder() -> Path:
    """Return the folder of the locks; every user of the machine may write there."""
    folder = Path(tempfile.gettempdir()) / "lockstep-devices"
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(0o1777)
    return folder


def open_lock(name: str) -> IO[str]:
    """Open the file of a lock, which may belong to another user, without locking it."""
    file = get_lock_folder() / f"{''.join(c if c.isalnum() else '-' for c in name)}.lock"
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR)
        os.fchmod(descriptor, 0o666)
        os.close(descriptor)
    return file.open("r+", encoding="utf-8")


def take_lock(stream: IO[str], owner: str) -> str | None:
    """Lock an open file for its process and note the owner; return the owner if it is taken."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        return stream.read().strip() or "another process"
    _write_owner(stream, owner)
    return None


def is_taken(stream: IO[str]) -> bool:
    """Whether another process holds the lock of an open file."""
    try:
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(stream, fcntl.LOCK_UN)
    return False


def _write_owner(stream: IO[str], owner: str) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(owner)
    stream.flush()


@contextmanager
def hold_devices(stage: str, devices: Sequence[str]) -> Iterator[None]:
    """Lock devices while the block runs; wait, with a message, for those in use.

    All processes lock in the same order, so no two wait for each other.
    """
    owner = f"{stage} in {Path.cwd()}, process {os.getpid()}"
    streams = []
    try:
        for device in sorted(devices):
            stream = open_lock(device)
            streams.append(stream)
            holder = take_lock(stream, owner)
            if holder is not None:
                click.echo(
                    f"{stage}: waits for GPU {device}, which is in use ({holder}); "
                    "CUDA_VISIBLE_DEVICES chooses another GPU",
                    err=True,
                )
                fcntl.flock(stream, fcntl.LOCK_EX)
                _write_owner(stream, owner)
        yield
    finally:
        for stream in streams:
            stream.close()
