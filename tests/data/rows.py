"""Sources, records and tables of them, as the tests of this folder need them."""

from collections.abc import Sequence
from typing import Any

from lockstep.data.record_table import Layout, Table
from lockstep.data.sources import Source
from lockstep.records import Record


def source(format: str, **more: Any) -> Source:
    """A source of that format with nothing particular but what is given."""
    return Source.model_validate({"path": "a.jsonl", "format": format, "task": "reply", **more})


def said(
    question: str, answer: str = "yes", source: str = "a", group: str = "", **slices: str
) -> Record:
    """A question and its answer; the question tells where it comes from."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Record(
        messages=turns,
        task="t",
        source=source,
        origin=f"{source}:{question}",
        group=group,
        slices=slices,
    )


def table(rows: Sequence[Record], seed: int = 7, threshold: float = 0.8, words: int = 0) -> Table:
    """The records as columns."""
    layout = Layout(
        seed=seed, threshold=threshold, words=words, labelled=frozenset("t"), by_answer=False
    )
    return layout.table(rows)
