"""Example sources, records and tables for the tests of this folder."""

from collections.abc import Sequence
from typing import Any

from lockstep.data.record_table import RecordTable, TableBuilder
from lockstep.data.sources import Source
from lockstep.records import Record


def make_source(format: str, **values: Any) -> Source:
    """Return a source with default values except for these."""
    defaults: dict[str, Any] = {"path": "a.jsonl", "format": format, "task": "reply"}
    if format == "turns":  # which must say what joins them
        defaults["columns"] = {"conversation": "chat"}
    return Source.model_validate({**defaults, **values})


def make_record(
    question: str, answer: str = "yes", source: str = "a", group: str = "", **slices: str
) -> Record:
    """Return a record of one question and its answer."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Record(
        messages=messages,
        task="t",
        source=source,
        origin=f"{source}:{question}",
        group=group,
        slices=slices,
    )


def build_table(
    records: Sequence[Record], seed: int = 7, threshold: float = 0.8, words: int = 0
) -> RecordTable:
    """Return a table of records whose task has labels."""
    builder = TableBuilder(
        seed=seed,
        threshold=threshold,
        words=words,
        labelled_tasks=frozenset("t"),
        with_answers=False,
    )
    return builder.build(records)
