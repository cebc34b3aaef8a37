"""Edit params.yaml for another source: remove the names of tasks and slices that it lacks."""

import io
from collections.abc import Collection
from typing import Any

from ruamel.yaml import YAML

from lockstep.suites import RETRIEVAL

TASK_NAMES = (
    "train.tasks",
    "train.sft.task_weights",
    "predict.robustness.tasks",
    "judge.suites",
    "human.suites",
    "evaluate.metrics",
    "evaluate.json_schemas",
)
"""Lists of tasks, and mappings from tasks."""
SLICE_NAMES = ("prepare.split.by", "human.strata", "evaluate.slices", "evaluate.summary_slices")
"""Lists of slices."""
ENTRIES = {
    "predict.suites": "task",
    "predict.few_shot": "task",
    "evaluate.gates": "suite",
    "augment.mix": "slice",
}
"""Lists of mappings -> the key of a mapping that names its task or slice."""
_REQUIRED = ("evaluate.metrics", "evaluate.slices")
"""Keys that stay if they become empty."""
_GENERAL_NAMES = {"task", "answer", "perplexity", "quantize", RETRIEVAL}
"""Names that need no source."""


def edit_params(text: str, entry: dict[str, Any], objective: str) -> str:
    """Return the text of params.yaml with this source as the only one, and with the objective.

    Tasks and slices of other sources are removed from all sections.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    values = yaml.load(text)
    values["prepare"]["sources"] = [entry]
    values["prepare"].pop("source_defaults", None)
    values["train"]["objective"] = objective
    if "title" in values.get("report", {}):
        values["report"]["title"] = f"Model for {entry['task']}"
    remove_names(values, {entry["task"]}, {*entry.get("slices", ())})
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()


def remove_names(values: Any, tasks: Collection[str], slices: Collection[str]) -> None:
    """Remove all tasks and slices but these from the sections of params.yaml, in place.

    A method of augmentation that is only for other tasks or slices is removed.
    """
    known = {*tasks, *slices, *_GENERAL_NAMES}
    for path in (*TASK_NAMES, *SLICE_NAMES):
        section, key = _find_section(values, path)
        names = section.get(key)
        if names:
            _remove(names, [name for name in names if name not in known])
            if not names and path not in _REQUIRED:
                del section[key]
    for path, key in ENTRIES.items():
        section, name = _find_section(values, path)
        entries = section.get(name) or []
        _remove(entries, [entry for entry in entries if entry.get(key) not in known])
    few_shot = values.get("predict", {}).get("few_shot") or []
    _remove(
        few_shot, [entry for entry in few_shot if entry.get("examples", "") not in {"", *known}]
    )
    methods = values.get("augment", {}).get("methods") or []
    _remove(methods, [method for method in methods if not _list_names(method) <= known])
    domains = values.get("evaluate", {}).get("domains")
    if domains and domains.get("slice") not in known:
        del values["evaluate"]["domains"]
    robustness, key = _find_section(values, "predict.robustness.paraphrases")
    if key in robustness and robustness[key] not in known:
        del robustness[key]


def _find_section(values: Any, path: str) -> tuple[Any, str]:
    """Return the section that holds a key, {} if params.yaml lacks it, and the key."""
    *sections, key = path.split(".")
    for name in sections:
        values = values.get(name) or {}
    return values, key


def _remove(container: Any, items: list[Any]) -> None:
    """Remove items from a list, or keys from a mapping."""
    for item in items:
        if isinstance(container, list):
            container.remove(item)
        else:
            del container[item]


def _list_names(method: Any) -> set[str]:
    """Return the tasks and slices to which a method of augmentation is restricted."""
    return {*(method.get("tasks") or ()), *(method.get("slices") or ())}
