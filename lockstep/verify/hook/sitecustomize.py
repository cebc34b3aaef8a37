"""Log which files a stage's processes read and write and which sockets they use.

Python loads this module at its start, since `make verify` puts this folder on PYTHONPATH. It acts
only where DVC_STAGE is set: in the process of a stage and in its Python children. Two sources write
to $VERIFY_LOG/STAGE.jsonl:

- An audit hook sees every access by Python code and its call stack. It does not see native code
  (safetensors and tokenizers open their files in Rust) or other programs that a stage starts.
- inotify (Linux only) sees every open and every change of a file in the repository while the stage
  runs, also by native code and other programs. It does not see which code made the access.
"""

# ruff: noqa: PTH100, PTH112, PTH113, PTH115, PTH118
# os.path works on the strings of the events; it neither opens nor imports anything

import atexit
import json
import os
import sys
import time
from types import FrameType
from typing import Any

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

OPEN, OVERFLOW, FOLDER = 0x20, 0x4000, 0x40000000
"""Flags IN_OPEN, IN_Q_OVERFLOW and IN_ISDIR of linux/inotify.h."""
CHANGED = 0x2 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200
"""Flags of linux/inotify.h for modify, close after writing, move from or to, create, delete."""


class AccessLogger:
    """Writes a line of JSON for each distinct access to a file of the repository or a socket."""

    def __init__(self, root: str, log: str) -> None:
        self.root = root
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.logged: set[tuple[str, ...]] = set()
        self.watched_folders: dict[int, str] = {}
        self.inotify = -1

    def write(self, event: str, subject: str, callers: tuple[str, ...] = ()) -> None:
        """Log an access once; os.write raises no audit event and writes a short line atomically."""
        if (event, subject, *callers) not in self.logged:
            self.logged.add((event, subject, *callers))
            line = {"event": event, "subject": subject, "callers": callers, "time": time.time()}
            os.write(self.log, json.dumps(line).encode() + b"\n")

    def write_path(self, event: str, path: object, folder: object = -1) -> None:
        """Log an access to a path in the repository, unless it will have no effect.

        `folder` is the file descriptor to which a relative path refers; -1 is the current folder.
        """
        if not isinstance(path, (str, bytes)):
            return  # a file descriptor; its opening was logged
        full = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0:
            full = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), full)
        full = os.path.abspath(full)
        if not full.startswith(self.root + os.sep):
            return
        if event == "read" and not os.path.isfile(full):
            return  # a folder or a missing file
        if event == "remove" and not os.path.lexists(full):
            return
        if event == "mkdir" and os.path.isdir(full):
            return
        kind = "read" if event == "read" else "write"
        self.write(kind, os.path.relpath(full, self.root), self.find_callers())

    def find_callers(self) -> tuple[str, ...]:
        """Return the files of the repository on the call stack, innermost first."""
        files: dict[str, None] = {}
        frame: FrameType | None = sys._getframe(1)
        while frame:
            name = frame.f_code.co_filename
            if name.startswith(self.root + os.sep):
                files[os.path.relpath(name, self.root)] = None
            frame = frame.f_back
        return tuple(files)

    def handle_audit_event(self, event: str, args: tuple[Any, ...]) -> None:
        """Log an audit event; see docs.python.org/3/library/audit_events for their arguments."""
        if event == "open":
            self.write_path("write" if args[2] & WRITE_FLAGS else "read", args[0])
            self.read_inotify()
        elif event == "os.rename":
            self.write_path("write", args[0], args[2])
            self.write_path("write", args[1], args[3])
        elif event == "os.link":
            self.write_path("read", args[0], args[2])
            self.write_path("write", args[1], args[3])
        elif event == "os.symlink":
            self.write_path("write", args[1], args[2])
        elif event in ("os.remove", "os.rmdir"):
            self.write_path("remove", args[0], args[1])
        elif event == "os.mkdir":
            self.write_path("mkdir", args[0], args[2])
        elif event in ("os.truncate", "sqlite3.connect"):
            self.write_path("write", args[0])
        elif event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
            # None: the other end of a socket pair of multiprocessing; a path: a Unix socket, which
            # reaches no other machine
            if args[1] is not None and not isinstance(args[1], (str, bytes)):
                self.write("socket", f"{event} {args[1]}")
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            self.write("socket", f"{event} {args[0]}")

    def start_inotify(self) -> None:
        """Make inotify report every access in the folders that the repository has now."""
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        self.inotify = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.inotify < 0:
            return self.write("unobserved", f"inotify: {os.strerror(ctypes.get_errno())}")
        for folder, subfolders, _ in os.walk(self.root):
            if folder == self.root:
                skipped = (".git", ".dvc", ".scratch")
                subfolders[:] = [name for name in subfolders if name not in skipped]
            number = libc.inotify_add_watch(self.inotify, os.fsencode(folder), OPEN | CHANGED)
            if number < 0:
                reason = os.strerror(ctypes.get_errno())
                self.write("unobserved", f"inotify: {folder}: {reason}")
            self.watched_folders[number] = folder

    def read_inotify(self) -> None:
        """Log the events that inotify has reported since the last call."""
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
                self.handle_inotify_event(number, mask, name)

    def handle_inotify_event(self, number: int, mask: int, name: str) -> None:
        """Log one event of inotify: the number of a watched folder, flags and a file's name."""
        if mask & OVERFLOW:
            self.write("unobserved", "inotify: more events at once than its queue holds")
        elif name and not (mask & OPEN and mask & FOLDER):
            path = os.path.relpath(os.path.join(self.watched_folders[number], name), self.root)
            self.write("native read" if mask & OPEN else "native write", path)

    def end(self) -> None:
        """Log the remaining events and that the process came to its end."""
        self.read_inotify()
        self.write("end", "")


def start(stage: str) -> None:
    """Log the accesses of this process from now on as those of a stage."""
    log = os.path.join(os.environ["VERIFY_LOG"], stage + ".jsonl")
    logger = AccessLogger(os.environ["VERIFY_ROOT"], log)
    logger.write("start", "")
    if sys.platform == "linux":
        logger.start_inotify()
    atexit.register(logger.end)
    sys.addaudithook(logger.handle_audit_event)


if "DVC_STAGE" in os.environ and "VERIFY_LOG" in os.environ:
    start(os.environ["DVC_STAGE"])
