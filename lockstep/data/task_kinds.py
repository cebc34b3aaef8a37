"""The kind of answer that each task has; `predict` and `evaluate` choose their suites by it."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from lockstep.data.data_card import Part
from lockstep.data.label_studio import Vote
from lockstep.data.sources import Source
from lockstep.data.traits import Traits

_KINDS = {"classification": "label", "multi_label": "labels", "regression": "number"}
"""Kinds that the format of a source determines."""

_DECISIVE = (
    "refusal",
    "rules",
    "labels",
    "label",
    "number",
    "preference",
    "unpaired_preference",
    "calls",
)
"""Kinds that a task has if at least one of its records has them, the strongest first."""


def source_kinds(sources: Collection[Source], votes: Iterable[tuple[str, Vote]]) -> dict[str, str]:
    """Return the kind of each source whose format or annotations determine it, by its path.

    A Label Studio project asks for choices (label), ratings (number) or texts (no kind).
    """
    kinds = {source.path: _KINDS[source.format] for source in sources if source.format in _KINDS}
    questions = Counter((path, vote.question) for path, vote in votes)
    kinds |= {path: "number" for path, question in questions if question == "rating"}
    kinds |= {path: "label" for path, question in questions if question == "choices"}
    return kinds | {source.path: source.answer for source in sources if source.answer}


def describe_tasks(parts: Mapping[str, Part], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return the kind, the slices and the number of records in each split of each task.

    `parts` maps the name of a split to its records, `kinds` the path of a source to its kind.
    """
    by_task: dict[str, set[Traits]] = {}
    for part in parts.values():
        for traits in part.traits:
            by_task.setdefault(traits.task, set()).add(traits)
    counts = {name: part.count(lambda traits: traits.task) for name, part in parts.items()}
    return {
        task: {
            "kind": task_kind({kinds.get(traits.source, traits.kind) for traits in members}),
            "slices": sorted({name for traits in members for name, _ in traits.slices}),
            "records": {name: counts[name][task] for name in parts},
        }
        for task, members in by_task.items()
    }


def task_kind(kinds: Collection[str]) -> str:
    """Return the kind of a task whose records have these kinds.

    A task is `json` or `plain_text` only if all of its records are.
    """
    for kind in _DECISIVE:
        if kind in kinds:
            return kind
    (kind,) = kinds if len(kinds) == 1 else ["text"]
    return kind
