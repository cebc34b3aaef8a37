"""Read the settings of a sweep: which values of params.yaml each experiment changes."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lockstep.errors import UserError
from lockstep.sweeps.experiments import FOLD, FOLDS, FRACTION, SEED

MAX_NAME = 120
"""Maximum number of characters of an experiment's name."""
_HUB_MODEL = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a parameter and its text on the command line."""

    value: Any
    text: str


@dataclass(frozen=True, slots=True)
class Setting:
    """The values that one experiment changes, and the experiment's name."""

    name: str
    changes: dict[str, Any]
    """Value by dotted path in params.yaml."""


Axis = Sequence[tuple[str, dict[str, Any]]]
"""Alternatives for one part of the settings: (part of the name, changes) of each."""


def parse_grid(text: str) -> list[Axis]:
    """Return an axis for each `key=value,value` of a grid; keys are separated by spaces.

    Values are YAML; commas and spaces in brackets or quotes do not separate. Raise UserError with
    one line for each part that is no such list.
    """
    mistakes, lists = [], {}
    for part in _split(text, " \t\n"):
        key, equals, values = part.partition("=")
        parsed = [_parse_value(value) for value in _split(values, ",")]
        if not equals or not key or not parsed:
            mistakes.append(f"GRID: {part!r}: write key=value,value")
        elif None in parsed:
            mistakes.append(f"GRID: {key}: {values!r} is not YAML; quote texts with brackets")
        elif key in lists:
            mistakes.append(f"GRID: {key}: stands twice; write all its values in one list")
        else:
            lists[key] = [value for value in parsed if value is not None]
    if not lists and not mistakes:
        mistakes.append("GRID: is empty; for example GRID='train.learning_rate=1e-4,2e-4'")
    if mistakes:
        raise UserError("\n".join(mistakes))
    names = _shorten_keys(list(lists))
    return [
        [(f"{names[key]}={value.text}", {key: value.value}) for value in values]
        for key, values in lists.items()
    ]


def build_folds(folds: int) -> Axis:
    """Return an axis with each fold of a k-fold cross-validation."""
    return [(f"fold={fold}of{folds}", {FOLDS: folds, FOLD: fold}) for fold in range(folds)]


def build_fractions(text: str) -> Axis:
    """Return an axis with shares of the training records, from `0.1,0.3,1`."""
    axis, *others = parse_grid(f"{FRACTION}={text}")
    if others:
        raise UserError(f"FRACTIONS: {text!r}: write shares separated by commas, such as 0.1,0.3,1")
    return [(name, {FRACTION: _to_float(changes[FRACTION])}) for name, changes in axis]


def build_seeds(first: int, number: int) -> Axis:
    """Return an axis with consecutive seeds from that of params.yaml on."""
    return [(f"seed={seed}", {SEED: seed}) for seed in range(first, first + number)]


def build_bases(text: str) -> Axis:
    """Return an axis with base models: `starter`, a folder, or `owner/name@revision`.

    A folder becomes an absolute path, since experiments run in folders of their own. Raise
    UserError with one line for each model that is none of the three.
    """
    mistakes, axis = [], []
    for model in text.split():
        match = _HUB_MODEL.fullmatch(model)
        folder = Path(model).expanduser()
        changes: dict[str, Any] = {"base.source": "starter"}
        if match:
            changes = {"base.source": "hub", "base.id": match[1], "base.revision": match[2]}
        elif folder.is_dir():
            changes = {"base.source": "path", "base.path": str(folder.resolve())}
        elif model != "starter":
            mistakes.append(
                f"MODELS: {model}: no folder of this name; a model of the hub is written "
                "owner/name@revision with the 40 hex digits of a commit, and `starter` is allowed"
            )
        axis.append((f"base={(match[1] if match else model).rstrip('/').split('/')[-1]}", changes))
    if not axis and not mistakes:
        mistakes.append("MODELS: is empty; name models separated by spaces")
    if mistakes:
        raise UserError("\n".join(mistakes))
    return axis


def combine_axes(axes: Sequence[Axis]) -> list[Setting]:
    """Return a setting for each combination of the axes' alternatives, with a name of its own."""
    combinations = [*itertools.product(*axes)]
    names = [make_name([name for name, _ in parts]) for parts in combinations]
    counts, seen = Counter(names), Counter[str]()
    settings = []
    for name, parts in zip(names, combinations, strict=True):
        seen[name] += 1
        suffix = f"_{seen[name]}" if counts[name] > 1 else ""
        changes = {key: value for _, part in parts for key, value in part.items()}
        settings.append(Setting(name + suffix, changes))
    return settings


def make_name(parts: Sequence[str]) -> str:
    """Return the name of an experiment: its settings, without what git refuses in a name."""
    name = ",".join(re.sub(r"[^A-Za-z0-9.=+_-]+", "-", part).strip("-.") for part in parts)
    name = re.sub(r"\.{2,}", ".", name.replace("=-", "="))
    return name[:MAX_NAME].removesuffix(".lock").rstrip(".")


def apply_changes(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of params.yaml with changes by dotted path; missing sections are added.

    Raise ValueError with the path of a change that leads through a value that is no section.
    """
    result = dict(values)
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = result
        for number, parent in enumerate(parents):
            child = section.get(parent, {})
            if not isinstance(child, Mapping):
                raise ValueError(f"{path}: {'.'.join(parents[: number + 1])} is no section")
            section[parent] = section = dict(child)
        section[last] = value
    return result


def format_override(path: str, value: Any) -> str:
    """Return an override for `dvc exp run -S` that sets a value, whether or not the key exists."""
    return f"++{path}={_format_value(value)}"


def _format_value(value: Any) -> str:
    """Return a value in the grammar of Hydra's overrides; texts are quoted, so none is a list."""
    match value:
        case None | bool() | int() | float():
            return json.dumps(value)
        case Mapping():
            items = (f"{_format_value(key)}:{_format_value(item)}" for key, item in value.items())
            return f"{{{','.join(items)}}}"
        case list():
            return f"[{','.join(map(_format_value, value))}]"
    text = re.sub(r"(\\*)'", r"\1\1\\'", str(value))
    return f"'{text}'"


def _parse_value(text: str) -> Value | None:
    """Return the value that a YAML 1.2 text spells; None if it is no YAML."""
    try:
        return Value(YAML(typ="safe", pure=True).load(text), text)
    except (YAMLError, ValueError, IndexError):  # ValueError: a date such as 2024-13-45
        return None


def _to_float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _shorten_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, or the whole key if two keys end alike."""
    counts = Counter(key.split(".")[-1] for key in keys)
    return {key: key.split(".")[-1] if counts[key.split(".")[-1]] == 1 else key for key in keys}


def _split(text: str, separators: str) -> Iterator[str]:
    """Yield the parts of a text between separators that are outside of brackets and quotes."""
    part, depth, quote = "", 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        if character in separators and not depth and not quote:
            if part:
                yield part
            part = ""
        else:
            part += character
    if part:
        yield part
