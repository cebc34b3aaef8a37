"""The kind of answer that each task has; `predict` and `evaluate` choose their suites by it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from lockstep.data.data_card import RecordStatistics
from lockstep.data.label_studio.voting import Vote
from lockstep.data.record_metadata import RecordMetadata
from lockstep.data.source_formats import BENCHMARK_FORMATS
from lockstep.data.sources import Source

_FORMAT_KINDS = {
    "classification": "label",
    "multi_label": "labels",
    "regression": "number",
    **BENCHMARK_FORMATS,
}
"""Kinds that the format of a source determines."""

_QUESTION_KINDS = {
    "rating": "number",
    "number": "number",
    "choices": "label",
    "several_choices": "labels",
}
"""Kinds that the type of a Label Studio question determines."""

_DOMINANT_KINDS = (
    "refusal",
    "rules",
    "labels",
    "label",
    "number",
    "preference",
    "unpaired_preference",
    "calls",
)
"""Kinds that a task has if at least one of its records has them; the first one wins."""


def describe_tasks(
    splits: Mapping[str, RecordStatistics],
    sources: Collection[Source],
    votes: Iterable[tuple[str, Vote]],
) -> dict[str, Any]:
    """Return the kind, the slices and the number of records per split of each task.

    `splits` maps the name of a split to its statistics; `votes` are the answers of annotators,
    each with the name of its source.
    """
    kinds = find_source_kinds(sources, votes)
    metadata_by_task: dict[str, set[RecordMetadata]] = {}
    for split in splits.values():
        for values in split.metadata:
            metadata_by_task.setdefault(values.task, set()).add(values)
    counts = {name: split.count(lambda values: values.task) for name, split in splits.items()}
    return {
        task: {
            "kind": choose_kind({kinds.get(values.source, values.kind) for values in metadata}),
            "slices": sorted({name for values in metadata for name, _ in values.slices}),
            "records": {name: counts[name][task] for name in splits},
        }
        for task, metadata in metadata_by_task.items()
    }


def find_source_kinds(
    sources: Collection[Source], votes: Iterable[tuple[str, Vote]]
) -> dict[str, str]:
    """Return the kind of each source whose settings or annotations determine it, by its name.

    A question of Label Studio for a choice means `label`, for several `labels`, for a rating or a
    number `number`. Any other question determines no kind.
    """
    kinds = {
        source.name: _FORMAT_KINDS[source.format]
        for source in sources
        if source.format in _FORMAT_KINDS
    }
    questions = {name: vote.question_type for name, vote in votes}
    kinds |= {
        name: _QUESTION_KINDS[question]
        for name, question in questions.items()
        if question in _QUESTION_KINDS
    }
    return kinds | {source.name: source.answer for source in sources if source.answer}


def choose_kind(kinds: Collection[str]) -> str:
    """Return the kind of a task from the kinds of its records.

    A task is `json` or `plain_text` only if all of its records are.
    """
    for kind in _DOMINANT_KINDS:
        if kind in kinds:
            return kind
    (kind,) = kinds if len(kinds) == 1 else ["text"]
    return kind
