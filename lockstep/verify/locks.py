"""Where two dvc.lock files differ, down to the files in a folder."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Difference:
    stage: str
    kind: str
    """`stage` (in one lock only), cmd, params, dep or out."""
    path: str
    """Of the dep or out; the parameter; empty for a cmd."""
    hashes: tuple[str, str] = ("", "")


def differences(one: dict[str, Any], other: dict[str, Any]) -> Iterator[Difference]:
    """Every command, parameter and hash that is not the same in the stages of two locks."""
    for stage in [*one, *(name for name in other if name not in one)]:
        if stage not in one or stage not in other:
            yield Difference(stage, "stage", "")
            continue
        if one[stage]["cmd"] != other[stage]["cmd"]:
            yield Difference(stage, "cmd", "")
        before, after = _parameters(one[stage]), _parameters(other[stage])
        for name in sorted(before.keys() | after.keys()):
            if name not in before or name not in after or before[name] != after[name]:
                yield Difference(stage, "params", name)
        for kind in ("dep", "out"):
            yield from _paths(stage, kind, one[stage], other[stage])


def paths(entry: dict[str, Any], kind: str) -> dict[str, str]:
    """The hash of each dep or each out of a stage."""
    hashes = {}
    for item in entry.get(f"{kind}s", []):
        hashes[item["path"]] = str(item.get(item.get("hash", "md5"), ""))
    return hashes


def files_that_differ(hashes: tuple[str, str], caches: Sequence[Path]) -> list[str] | None:
    """The files by which two hashed folders differ.

    None where it cannot be told: a hash is of no folder, or its manifest is in no cache.
    """
    manifests = [_manifest(value, caches) for value in hashes]
    one, other = manifests
    if one is None or other is None:
        return None
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _manifest(value: str, caches: Sequence[Path]) -> dict[str, str] | None:
    if value.endswith(".dir"):
        for cache in caches:
            file = cache / "files" / "md5" / value[:2] / value[2:]
            if file.is_file():
                return {item["relpath"]: item["md5"] for item in json.loads(file.read_bytes())}
    return None


def _paths(
    stage: str, kind: str, one: dict[str, Any], other: dict[str, Any]
) -> Iterator[Difference]:
    before, after = paths(one, kind), paths(other, kind)
    for path in sorted(before.keys() | after.keys()):
        hashes = before.get(path, ""), after.get(path, "")
        if hashes[0] != hashes[1] or not hashes[0]:
            yield Difference(stage, kind, path, hashes)


def _parameters(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for file in entry.get("params", {}).values() for name, value in file.items()
    }
