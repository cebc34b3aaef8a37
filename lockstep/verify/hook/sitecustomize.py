"""Notes what a stage's processes open, write and connect to; Python loads it at their start.

`make verify` puts this folder on PYTHONPATH. It is awake only where DVC_STAGE is set: in a
stage's own process and its Python children. Two witnesses write to $VERIFY_LOG/STAGE.jsonl:

- an audit hook sees every access by Python code, and who asked, but nothing of native code
  (safetensors and tokenizers open their files in Rust) nor of other programs that a stage starts;
- inotify, on Linux, sees every open and every change of a file in the repository by anybody
  while the stage runs, also by native code and other programs, but not who did it.
"""

# ruff: noqa: PTH100, PTH112, PTH113, PTH115, PTH118
# os.path works on the strings of the events, and neither opens nor imports anything

import atexit
import json
import os
import sys
import time
from types import FrameType
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

OPEN, OVERFLOW, FOLDER = 0x20, 0x4000, 0x40000000
CHANGED = 0x2 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200
"""From linux/inotify.h; changed: modify, close after writing, move from or to, create, delete."""


class Witness:
    def __init__(self, root: str, log: str) -> None:
        self.root = root
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.known: set[tuple[str, ...]] = set()
        self.watched: dict[int, str] = {}
        self.inotify = -1

    def note(self, event: str, subject: str, askers: tuple[str, ...] = ()) -> None:
        """One line for each distinct access; os.write of a short line is atomic and unaudited."""
        if (event, subject, *askers) not in self.known:
            self.known.add((event, subject, *askers))
            line = {"event": event, "subject": subject, "askers": askers, "time": time.time()}
            os.write(self.log, json.dumps(line).encode() + b"\n")

    def path(self, event: str, path: object, folder: object = -1) -> None:
        """Note an access to a path that lies in the repository, if it will do something."""
        if not isinstance(path, (str, bytes)):
            return  # a descriptor, whose opening was seen
        full = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0:
            full = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), full)
        full = os.path.abspath(full)
        if not full.startswith(self.root + os.sep):
            return
        if event == "read" and not os.path.isfile(full):
            return  # a folder, or a file that was looked for and is not there
        if event == "remove" and not os.path.lexists(full):
            return
        if event == "mkdir" and os.path.isdir(full):
            return
        kind = "read" if event == "read" else "write"
        self.note(kind, os.path.relpath(full, self.root), self.askers())

    def askers(self) -> tuple[str, ...]:
        """The repository's files on the call stack, the nearest first."""
        files: dict[str, None] = {}
        frame: FrameType | None = sys._getframe(1)
        while frame:
            name = frame.f_code.co_filename
            if name.startswith(self.root + os.sep):
                files[os.path.relpath(name, self.root)] = None
            frame = frame.f_back
        return tuple(files)

    def hear(self, event: str, given: tuple[Any, ...]) -> None:
        """The audit hook; events and their arguments: docs.python.org/3/library/audit_events."""
        if event == "open":
            self.path("write" if given[2] & WRITING else "read", given[0])
            self.drain()
        elif event == "os.rename":
            self.path("write", given[0], given[2])
            self.path("write", given[1], given[3])
        elif event == "os.link":
            self.path("read", given[0], given[2])
            self.path("write", given[1], given[3])
        elif event == "os.symlink":
            self.path("write", given[1], given[2])
        elif event in ("os.remove", "os.rmdir"):
            self.path("remove", given[0], given[1])
        elif event == "os.mkdir":
            self.path("mkdir", given[0], given[2])
        elif event in ("os.truncate", "sqlite3.connect"):
            self.path("write", given[0])
        elif event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
            if given[1] is not None:  # None: to the other end of a pair, as multiprocessing does
                self.note("socket", f"{event} {given[1]}")
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            self.note("socket", f"{event} {given[0]}")

    def watch(self) -> None:
        """Have the kernel tell of every access to what lies in the repository's folders now."""
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        self.inotify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.inotify < 0:
            return self.note("blind", f"inotify: {os.strerror(ctypes.get_errno())}")
        for folder, inner, _ in os.walk(self.root):
            if folder == self.root:
                inner[:] = [name for name in inner if name not in (".git", ".dvc", ".scratch")]
            number = libc.inotify_add_watch(self.inotify, os.fsencode(folder), OPEN | CHANGED)
            if number < 0:
                self.note("blind", f"inotify: {folder}: {os.strerror(ctypes.get_errno())}")
            self.watched[number] = folder

    def drain(self) -> None:
        """Note what the kernel has told so far."""
        while self.inotify >= 0:
            try:
                block = os.read(self.inotify, 65536)
            except BlockingIOError:
                return
            position = 0
            while position < len(block):
                number, mask, _, length = (
                    int.from_bytes(block[position + i : position + i + 4], sys.byteorder)
                    for i in (0, 4, 8, 12)
                )
                name = os.fsdecode(block[position + 16 : position + 16 + length].rstrip(b"\0"))
                position += 16 + length
                self.told(number, mask, name)

    def told(self, number: int, mask: int, name: str) -> None:
        if mask & OVERFLOW:
            self.note("blind", "inotify: more events at once than its queue holds")
        elif name and not (mask & OPEN and mask & FOLDER):
            path = os.path.relpath(os.path.join(self.watched[number], name), self.root)
            self.note("native read" if mask & OPEN else "native write", path)

    def end(self) -> None:
        self.drain()
        self.note("end", "")


def wake(stage: str) -> None:
    log = os.path.join(os.environ["VERIFY_LOG"], stage + ".jsonl")
    witness = Witness(os.environ["VERIFY_ROOT"], log)
    witness.note("start", "")
    if sys.platform == "linux":
        witness.watch()
    atexit.register(witness.end)
    sys.addaudithook(witness.hear)


if "DVC_STAGE" in os.environ and "VERIFY_LOG" in os.environ:
    wake(os.environ["DVC_STAGE"])
