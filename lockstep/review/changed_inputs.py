"""Differences of two commits in what determines the results: params, code, libraries, stages."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lockstep.review.snapshot import Snapshot, list_changed_lines

CODE = ("dvc.yaml", "stages", "lockstep")
"""Files and folders of the pipeline's code."""
ENVIRONMENT = "constraints.txt"
"""File of the pinned libraries."""
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChange:
    """A value on both sides; None where it is absent."""

    name: str
    base: str | None
    this: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """A stage whose entry in dvc.lock changed: it ran again, or is new or gone."""

    name: str
    reasons: list[str]
    """Dependencies, params and command that changed."""
    is_same_output: bool
    """Whether it wrote the same bytes again."""


def compare_params(base: Snapshot, this: Snapshot) -> list[ValueChange]:
    """Return the keys of params.yaml with another value, by dotted path."""
    sides = (_flatten(base.read_yaml("params.yaml")), _flatten(this.read_yaml("params.yaml")))
    return _compare_values(*sides)


def compare_libraries(base: Snapshot, this: Snapshot) -> list[ValueChange]:
    """Return the libraries that are pinned to another version."""
    return _compare_values(
        *(dict(_PIN.findall(side.read(ENVIRONMENT) or "")) for side in (base, this))
    )


def compare_stages(base: Snapshot, this: Snapshot) -> list[StageChange]:
    """Return the stages whose entry in dvc.lock differs, in the order of the pipeline."""
    old, new = (side.read_lock() for side in (base, this))
    order = [*this.read_yaml("dvc.yaml").get("stages", {})]
    names = sorted({*new, *old}, key=lambda name: (_find_place(name, order), name))
    return [
        StageChange(
            name=name,
            reasons=[*_list_reasons(old.get(name, {}), new.get(name, {}))],
            is_same_output=_list_hashes(old.get(name, {}), "outs")
            == _list_hashes(new.get(name, {}), "outs"),
        )
        for name in names
        if old.get(name) != new.get(name)
    ]


def _find_place(name: str, order: list[str]) -> int:
    """Return the place of a stage in the pipeline; a stage of a matrix is `stage@value`."""
    stage = name.partition("@")[0]
    return order.index(stage) if stage in order else len(order)


def compare_code(base: Snapshot, this: Snapshot) -> list[tuple[str, int, int]]:
    """Return (file, lines added, lines removed) of the pipeline's code."""
    return list(list_changed_lines(this.root, base.commit or "HEAD", *CODE))


def find_machine(side: Snapshot) -> str:
    """Return the class of the machine that trained; "" if it is not known."""
    machine = side.read_json("reports/provenance/train.json").get("machine", {})
    return ", ".join(str(value) for value in machine.values() if value)


def _flatten(values: Any, path: str = "") -> dict[str, str]:
    """Return {dotted path: value as JSON}; items of lists of mappings have their place as name."""
    if isinstance(values, dict) and values:
        items: Any = values.items()
    elif isinstance(values, list) and any(isinstance(item, dict) for item in values):
        items = enumerate(values)
    else:
        return {path: json.dumps(values, ensure_ascii=False, default=str)}
    result: dict[str, str] = {}
    for name, value in items:
        result |= _flatten(value, f"{path}.{name}" if path else str(name))
    return result


def _compare_values(base: dict[str, str], this: dict[str, str]) -> list[ValueChange]:
    return [
        ValueChange(name=name, base=base.get(name), this=this.get(name))
        for name in dict.fromkeys([*this, *base])
        if base.get(name) != this.get(name)
    ]


def _list_reasons(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if not old or not new:
        yield "new stage" if new else "stage removed"
        return
    if old.get("cmd") != new.get("cmd"):
        yield "command"
    before, after = (
        _flatten(entry.get("params", {}).get("params.yaml", {})) for entry in (old, new)
    )
    yield from (change.name for change in _compare_values(before, after))
    before, after = (_list_hashes(entry, "deps") for entry in (old, new))
    for change in _compare_values(before, after):
        yield PurePosixPath(change.name).as_posix()


def _list_hashes(entry: dict[str, Any], kind: str) -> dict[str, str]:
    """Return {path: hash} of the dependencies or outputs of a stage."""
    return {item["path"]: str(item.get("md5", "")) for item in entry.get(kind, [])}
