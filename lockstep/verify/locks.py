"""Compare two dvc.lock files, down to the files inside hashed folders."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One entry in which two dvc.lock files differ."""

    stage: str
    kind: str
    """One of stage (in one lock only), cmd, params, dep, out."""
    path: str
    """Path of the dep or out, or name of the parameter; empty for a stage or a cmd."""
    hashes: tuple[str, str] = ("", "")
    """Hashes of the dep or out in the two locks."""


def compare_locks(first: dict[str, Any], second: dict[str, Any]) -> Iterator[Difference]:
    """Yield every command, parameter and hash that differs between the stages of two locks."""
    for stage in [*first, *(name for name in second if name not in first)]:
        if stage not in first or stage not in second:
            yield Difference(stage, "stage", "")
            continue
        if first[stage]["cmd"] != second[stage]["cmd"]:
            yield Difference(stage, "cmd", "")
        before, after = read_params(first[stage]), read_params(second[stage])
        for name in sorted(before.keys() | after.keys()):
            if name not in before or name not in after or before[name] != after[name]:
                yield Difference(stage, "params", name)
        for kind in ("dep", "out"):
            yield from _compare_hashes(stage, kind, first[stage], second[stage])


def read_hashes(entry: dict[str, Any], kind: str) -> dict[str, str]:
    """Map each path of a stage's deps (`kind` is "dep") or outs ("out") to its hash."""
    hashes = {}
    for item in entry.get(f"{kind}s", []):
        hashes[item["path"]] = str(item.get(item.get("hash", "md5"), ""))
    return hashes


def read_params(entry: dict[str, Any]) -> dict[str, Any]:
    """Map each parameter or section that a stage depends on to its value."""
    return {
        name: value for file in entry.get("params", {}).values() for name, value in file.items()
    }


def list_changed_files(hashes: tuple[str, str], caches: Sequence[Path]) -> list[str] | None:
    """Return the files in which two hashed folders differ.

    Returns None if a hash is not a folder's, or if no cache holds the folder's manifest.
    """
    first, second = (_read_manifest(value, caches) for value in hashes)
    if first is None or second is None:
        return None
    names = first.keys() | second.keys()
    return sorted(name for name in names if first.get(name) != second.get(name))


def _read_manifest(value: str, caches: Sequence[Path]) -> dict[str, str] | None:
    if value.endswith(".dir"):
        for cache in caches:
            file = cache / "files" / "md5" / value[:2] / value[2:]
            if file.is_file():
                return {item["relpath"]: item["md5"] for item in json.loads(file.read_bytes())}
    return None


def _compare_hashes(
    stage: str, kind: str, first: dict[str, Any], second: dict[str, Any]
) -> Iterator[Difference]:
    before, after = read_hashes(first, kind), read_hashes(second, kind)
    for path in sorted(before.keys() | after.keys()):
        hashes = before.get(path, ""), after.get(path, "")
        if hashes[0] != hashes[1] or not hashes[0]:
            yield Difference(stage, kind, path, hashes)
