"""Compare the files and sockets that a stage used with those that it declares."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lockstep.verify import import_closure, locks, network

HARMLESS_SOCKETS = ("socket.bind ('::1', 0)",)
"""Sockets that every stage may open: urllib3 binds one at import to test whether IPv6 works."""

CONFIGURATION = ("dvc.yaml", "params.yaml")
"""Files that every stage may read: its params, and the code paths that its resume key covers."""

WORKING_FOLDERS = (".scratch", ".dvc/tmp", ".dvc/cache")
"""Folders that every stage may use: checkpoints of unfinished runs, and the files of DVC."""


@dataclass(frozen=True)
class Access:
    """One access to a file of the repository or to the network, as the hook logged it."""

    event: str
    """One of read, write, native read, native write, socket, unobserved, start, end."""
    subject: str
    """Path relative to the root of the repository, or address of a socket."""
    callers: tuple[str, ...]
    """Project files on the call stack, innermost first."""
    time: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Declaration:
    """Files and sockets that a stage may use, by its entry in dvc.lock and by its imports."""

    reads: frozenset[str]
    writes: frozenset[str]
    code: frozenset[str]
    may_connect: bool


def read_log(file: Path) -> list[Access]:
    """Return the accesses in a log of the hook; an empty list if there is no such file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    values = [json.loads(line) for line in lines]
    return [Access(v["event"], v["subject"], tuple(v["callers"]), v["time"]) for v in values]


def read_declaration(stage: str, entry: dict[str, Any], root: Path) -> Declaration:
    """Return what a stage declares.

    `entry` is the stage in dvc.lock; the code that it imports is looked up below `root`.
    """
    module = import_closure.find_stage_module(entry["cmd"])
    name = f"{stage.replace('@', '-')}.json"
    records = {f"reports/timings/{name}", f"reports/provenance/{name}"}
    return Declaration(
        reads=frozenset({*locks.read_hashes(entry, "dep"), *CONFIGURATION}),
        writes=frozenset({*locks.read_hashes(entry, "out"), *records}),
        code=frozenset(import_closure.find_closure(module, root) if module else ()),
        may_connect=network.may_connect(locks.read_params(entry)),
    )


def measure_seconds(log: list[Access]) -> float:
    """Return the seconds between the first and the last access of a log."""
    times = [access.time for access in log]
    return max(times) - min(times)


def find_undeclared(log: list[Access], declaration: Declaration) -> list[str]:
    """Describe each access that the stage does not declare, one line for each."""
    if not any(access.event == "end" for access in log):
        return ["was not observed to its end; is its command `exec python -m stages.X …`?"]
    written = {
        access.subject: None
        for access in log
        if "write" in access.event and not _may_write(access, declaration)
    }
    read = {
        access.subject: None
        for access in log
        if "read" in access.event
        and access.subject not in written
        and not _may_read(access, declaration)
    }
    sockets = {
        access.subject: None
        for access in log
        if access.event == "socket"
        and not declaration.may_connect
        and access.subject not in HARMLESS_SOCKETS
    }
    return [
        *(f"reads {path}, which is no dep" for path in read),
        *(f"writes {path}, which is no out" for path in _drop_nested(written)),
        *(f"opens a socket: {address}" for address in sockets),
    ]


def find_unobserved(log: list[Access]) -> list[str]:
    """Return the reasons why the hook could not observe everything."""
    return [access.subject for access in log if access.event == "unobserved"]


def _may_read(access: Access, declaration: Declaration) -> bool:
    path = access.subject
    if import_closure.is_within(path, {*declaration.reads, *WORKING_FOLDERS}):
        return True
    if _may_write(access, declaration):
        return True
    if not (import_closure.is_code(path) and path.endswith(".py")):
        return False
    if path in declaration.code or import_closure.is_exempt(path):
        return True
    return access.event == "native read" or _is_read_for_exempt_code(access, declaration)


def _is_read_for_exempt_code(access: Access, declaration: Declaration) -> bool:
    """Whether exempt code, which checks the params of all stages, imports a module.

    The innermost caller that is exempt or belongs to the stage decides. Any callers further in
    were imported by it. inotify logs no callers, but the audit hook also sees what Python imports.
    """
    for file in access.callers:
        if import_closure.is_exempt(file):
            return True
        if file in declaration.code:
            return False
    return False


def _may_write(access: Access, declaration: Declaration) -> bool:
    path = access.subject
    partials = {
        str(PurePosixPath(out).with_name(f".{PurePosixPath(out).name}.partial"))
        for out in declaration.writes
    }
    if import_closure.is_within(path, {*declaration.writes, *partials, *WORKING_FOLDERS}):
        return True
    return any(PurePosixPath(path) in PurePosixPath(out).parents for out in declaration.writes)


def _drop_nested(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths without those that lie inside another one."""
    known = set(paths)
    for path in paths:
        if not any(str(parent) in known for parent in PurePosixPath(path).parents):
            yield path
