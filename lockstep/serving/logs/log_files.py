"""The files of the gateway's log folder: JSON lines that are appended, rotated and read.

`requests.jsonl` is the newest file of its log; `requests.jsonl.1` is older, and so on. Their size
is bounded: the oldest file is deleted when a new one begins.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from logging import getLogger
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson

from lockstep.errors import UserError

REQUESTS, FEEDBACK, OUTCOMES = "requests.jsonl", "feedback.jsonl", "outcomes.jsonl"
"""Logs of a folder; docs/serving.md describes their keys."""

FILES = 8
"""Number of files into which a log is divided, so that an eighth at most is deleted at a time."""

log = getLogger("lockstep.serving")


def read_log(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log, the oldest first; a log that does not exist has none.

    A line that was cut (power failure) is skipped, and a note on stderr has the number of such
    lines. Raise UserError if the folder does not exist, a file cannot be read or a line is no JSON
    object. A gateway may
    write and rotate the log at the same time.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the one of serving.log_folder")
    cut = []
    with ExitStack() as stack:
        for path, file in reversed(_open_files(folder, name, stack)):
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    values = orjson.loads(line)
                except ValueError:
                    cut.append(f"{path}:{number}")
                    continue
                if not isinstance(values, dict):
                    raise UserError(f"{path}:{number}: no JSON object; is this a log of `serve`?")
                yield values
    if cut:
        counted = "1 cut line is" if len(cut) == 1 else f"{len(cut)} cut lines are"
        click.echo(f"note: {cut[0]}: not JSON; {counted} skipped", err=True)


def may_lack_lines(folder: Path, name: str) -> bool:
    """Whether the oldest lines of a log may have been deleted: it has all its files."""
    return (folder / f"{name}.{FILES - 1}").exists()


def _open_files(folder: Path, name: str, stack: ExitStack) -> list[tuple[Path, BinaryIO]]:
    """Open the files of a log, the newest first; one that is renamed meanwhile is opened once."""
    files, seen = list[tuple[Path, BinaryIO]](), set()
    suffixes = [path.name.removeprefix(f"{name}.") for path in folder.glob(f"{name}.*")]
    oldest = max((int(suffix) for suffix in suffixes if suffix.isdecimal()), default=0)
    numbers = range(1, max(oldest, FILES) + 1)
    for path in (folder / name, *(folder / f"{name}.{number}" for number in numbers)):
        try:
            file = stack.enter_context(path.open("rb"))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; correct it, or copy the log") from None
        state = os.fstat(file.fileno())
        if (state.st_dev, state.st_ino) not in seen:
            seen.add((state.st_dev, state.st_ino))
            files.append((path, file))
    return files


class LogWriter:
    """Appends lines to a log, from any thread; lines that cannot be written are counted."""

    def __init__(self, file: Path, size: int, prepare: Callable[[], None] = lambda: None) -> None:
        """Write to a file, which has at most `size` bytes together with the rotated ones.

        `prepare` is called before each line, so that it can restore a folder that has vanished.
        """
        self.file, self._prepare = file, prepare
        self.lost = 0
        """Number of lines that were not written."""
        self._limit = size // FILES
        self._rotation = RotatingFileHandler(file, backupCount=FILES - 1, delay=True)
        self._lock, self._count_lock = threading.Lock(), threading.Lock()
        self._is_failing = False

    def write(self, values: Mapping[str, Any]) -> bool:
        """Append a line, and return whether it was written.

        The first failure of a series is reported in the program's log. No text is.
        """
        with self._lock:
            try:
                self._append(orjson.dumps(values) + b"\n")
            except OSError as error:
                self.count_lost()
                self._report(error.strerror or str(error))
                return False
            self._is_failing = False
            return True

    def count_lost(self) -> None:
        """Count a line that is not written; this waits for no writing thread."""
        with self._count_lock:
            self.lost += 1

    def _append(self, line: bytes) -> None:
        """Append a line, and rotate the files before it if it has no room."""
        if len(line) > self._limit:
            raise OSError(f"a line of {len(line)} bytes needs a larger serving.log_mib")
        self._prepare()
        with _lock_folder(self.file.parent):
            if self.file.is_file() and self.file.stat().st_size + len(line) > self._limit:
                self._rotation.doRollover()
            with open(self.file, "a+b", buffering=0, opener=open_private) as file:
                _write_whole(file, line)

    def _report(self, reason: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            log.error("serve: %s: %s; lines are lost until this is corrected", self.file, reason)


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Keep other gateways from writing to a folder, since they may rotate its files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_whole(file: FileIO, line: bytes) -> None:
    """Write a line at the end of a file, or nothing if the disk is full."""
    size = file.seek(0, os.SEEK_END)
    if size and not _ends_line(file):
        line = b"\n" + line
    try:
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        with suppress(OSError):
            file.truncate(size)
        raise


def _ends_line(file: FileIO) -> bool:
    """Whether the last byte of a file ends a line; it does not if a power failure cut the line."""
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def open_private(path: str, flags: int) -> int:
    """Open a file; a new one can be read by its owner alone."""
    return os.open(path, flags, 0o600)
