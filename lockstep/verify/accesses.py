"""What a stage touched in its run, held against what it declares."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lockstep.verify import import_closure, locks

ONLINE = "base"
"""The one stage that may talk to the network: it brings the model in."""

HARMLESS_SOCKETS = ("socket.bind ('::1', 0)",)
"""urllib3 asks at import whether this machine has IPv6: nothing is sent, nobody is reached."""

CONFIGURATION = ("dvc.yaml", "params.yaml")
"""Files that every stage may read: its parameters, and the code that its resume key covers."""

OWN_BUSINESS = (".scratch", ".dvc/tmp", ".dvc/cache")
"""A run in progress keeps its checkpoints in the first; the others are DVC's own."""


@dataclass(frozen=True)
class Access:
    event: str
    """read, write, native read, native write, socket, blind, start or end."""
    subject: str
    """A path in the repository, or a socket's address."""
    askers: tuple[str, ...]
    """The project's files on the call stack, nearest first."""
    time: float


@dataclass(frozen=True)
class Declared:
    """What the lock and the code say that a stage touches."""

    reads: frozenset[str]
    writes: frozenset[str]
    code: frozenset[str]
    online: bool


def read_log(file: Path) -> list[Access]:
    """The accesses that the hook noted; none where the stage did not run under it."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    values = [json.loads(line) for line in lines]
    return [Access(v["event"], v["subject"], tuple(v["askers"]), v["time"]) for v in values]


def declared(stage: str, entry: dict[str, Any], root: Path) -> Declared:
    """From the stage's entry in dvc.lock and from its code below `root`."""
    module = import_closure.module_of(entry["cmd"])
    name = f"{stage.replace('@', '-')}.json"
    record = {f"reports/timings/{name}", f"reports/provenance/{name}"}
    return Declared(
        reads=frozenset({*locks.paths(entry, "dep"), *CONFIGURATION}),
        writes=frozenset({*locks.paths(entry, "out"), *record}),
        code=frozenset(import_closure.closure(module, root) if module else ()),
        online=stage.split("@")[0] == ONLINE,
    )


def seconds(log: list[Access]) -> float:
    times = [access.time for access in log]
    return max(times) - min(times)


def breaches(log: list[Access], allowed: Declared) -> list[str]:
    """One line for each thing that the stage did and does not declare."""
    if not any(access.event == "end" for access in log):
        return ["was not observed to its end; is its command `exec python -m stages.X …`?"]
    written = {a.subject: None for a in log if "write" in a.event and not _may_write(a, allowed)}
    read = {
        a.subject: None
        for a in log
        if "read" in a.event and a.subject not in written and not _may_read(a, allowed)
    }
    sockets = {
        a.subject: None
        for a in log
        if a.event == "socket" and not allowed.online and a.subject not in HARMLESS_SOCKETS
    }
    return [
        *(f"reads {path}, which is no dep" for path in read),
        *(f"writes {path}, which is no out" for path in _topmost(written)),
        *(f"opens a socket: {address}" for address in sockets),
    ]


def blind_spots(log: list[Access]) -> list[str]:
    """Why the hook could not see everything, if so."""
    return [access.subject for access in log if access.event == "blind"]


def _may_read(access: Access, allowed: Declared) -> bool:
    path = access.subject
    if _within(path, allowed.reads | set(OWN_BUSINESS)) or _may_write(access, allowed):
        return True
    if not (import_closure.is_code(path) and path.endswith(".py")):
        return False
    if path in allowed.code or import_closure.is_exempt(path):
        return True
    return access.event == "native read" or _asked_by_exempt(access, allowed)


def _asked_by_exempt(access: Access, allowed: Declared) -> bool:
    """Whether a foreign module is loaded for lockstep.cli, which checks every stage's parameters.

    The nearest module on the stack that belongs to the stage or is exempt is who asked; those
    between were themselves loaded at its request. (inotify knows no stack, but what Python
    loads, the audit hook has seen too.)
    """
    for file in access.askers:
        if import_closure.is_exempt(file):
            return True
        if file in allowed.code:
            return False
    return False


def _may_write(access: Access, allowed: Declared) -> bool:
    path = access.subject
    partials = {str(PurePosixPath(o).with_name(f".{PurePosixPath(o).name}.partial"))
                for o in allowed.writes}  # fmt: skip
    if _within(path, allowed.writes | partials | set(OWN_BUSINESS)):
        return True
    return any(PurePosixPath(path) in PurePosixPath(out).parents for out in allowed.writes)


def _within(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _topmost(paths: Iterable[str]) -> Iterator[str]:
    """Without what lies in a folder that is named itself."""
    known = set(paths)
    for path in paths:
        if not any(str(parent) in known for parent in PurePosixPath(path).parents):
            yield path
