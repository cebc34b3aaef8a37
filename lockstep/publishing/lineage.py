"""Where a model comes from: the commit, and the hashes by which dvc.lock records its inputs."""

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UserError
from lockstep.hub.base_params import BaseParams
from lockstep.verify import locks
from lockstep.verify.clone import parse_lock, run_git

LOCK = Path("dvc.lock")
LAST_STAGE = "report"
"""Stage that needs all others, so that its status is that of the pipeline."""

TRACKED = ("data", "dvc.lock", "dvc.yaml", "lockstep", "params.yaml", "reports", "stages")
"""Paths in git that decide the outputs, or are some."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The commit and the hashes of the inputs of a model."""

    commit: str
    """All 40 digits."""
    changes: list[str]
    """Files that differ from the commit; [] if the commit describes the model."""
    rows: list[tuple[str, str]]
    """Name and value of each further fact."""


def read_lineage(form: Path, base: BaseParams) -> Lineage:
    """Return the lineage of a model folder; raise UserError if it is not what dvc.lock records."""
    try:
        commit = run_git(Path(), "rev-parse", "HEAD").strip()
        status = run_git(Path(), "status", "--porcelain", "--", *TRACKED)
    except (OSError, subprocess.CalledProcessError):
        raise UserError(
            "no git commit here, and the model card must name it; run from a clone with a commit"
        ) from None
    stages = parse_lock(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {}
    hashes = {
        path: value.removesuffix(".dir")
        for entry in stages.values()
        for kind in ("dep", "out")
        for path, value in locks.read_hashes(entry, kind).items()
    }
    rows = [
        ("base", _describe_base(base, hashes)),
        *(
            (name, f"`{path}`, MD5 {hashes[path]}")
            for name, path in (
                ("raw data", "data/raw"),
                ("training, validation and test records", "data/prepared"),
                ("this model", form.as_posix()),
            )
            if path in hashes
        ),
        ("parameters", f"`params.yaml`, SHA-256 {_hash_file(Path('params.yaml'))}"),
    ]
    return Lineage(commit, [line[3:] for line in status.splitlines()], rows)


def list_stale_paths() -> Iterator[str]:
    """Yield the inputs and outputs in which the clone differs from dvc.lock.

    What is missing does not count: a model can be exported after `dvc pull` of its folder alone.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        status = Repo().status(targets=[LAST_STAGE], with_deps=True)
    except DvcException as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"dvc.lock cannot be compared with this clone: {reason}") from None
    for entries in status.values():
        for entry in entries:
            if isinstance(entry, Mapping):
                yield from _list_changed(entry)


def _list_changed(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the changed paths and parameters of a part of DVC's status."""
    for kind in ("changed deps", "changed outs"):
        for path, state in entry.get(kind, {}).items():
            if isinstance(state, Mapping):
                yield from (f"{path}:{name}" for name in state)
            elif state in ("modified", "new"):
                yield path


def _describe_base(base: BaseParams, hashes: Mapping[str, str]) -> str:
    """Return the base with its revision and hash; of a local folder, the name alone."""
    match base.source:
        case "hub":
            name = f"{base.id}, revision `{base.revision}`"
        case "path":
            name = f"local model `{Path(base.path).name}`"
        case _:
            name = "starter model of the repository"
    return f"{name}, MD5 of its folder {hashes.get('data/base', 'not recorded')}"


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
