"""What people rate: each answer to a test record once, whichever variants gave it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lockstep.params import PositiveInt, Section, Seed
from lockstep.predictions import Prediction

COLUMNS = ("item", "question", "answer", "comment")
"""What a sheet has beside the dimensions."""

LOWEST, HIGHEST = 1, 5
"""Of a rating, which is a whole number."""

ITEM = re.compile("a[0-9a-f]+")
"""The code of an item."""

Dimension = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class HumanParams(Section):
    """Who rates how much of what."""

    suites: list[str]
    """Tasks of suites whose answers people read; none where a model writes no text."""
    variants: Annotated[list[Literal["base", "merged", "quantized"]], Field(min_length=1)]
    records: PositiveInt
    """Drawn of each suite; a sheet has the answers of all variants to them."""
    strata: list[str]
    """Slices whose combinations are drawn in proportion, at least one record of each."""
    dimensions: Annotated[dict[Dimension, str], Field(min_length=1)]
    """Name -> what raters are asked; 1 is worst, 5 best."""
    raters: PositiveInt
    """A sheet for each, in an order of its own."""
    seed: Seed
    """Of the draw and of the orders."""

    @model_validator(mode="after")
    def _distinct(self) -> "HumanParams":
        for name, values in ("suites", self.suites), ("variants", self.variants):
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: name each once")
        for column in COLUMNS:
            if column in self.dimensions:
                raise ValueError(f"dimensions: {column} is a column of its own; rename it")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An answer to a test record."""

    code: str
    record: str
    task: str
    question: str
    answer: str
    variants: tuple[str, ...]
    """Those that gave it."""


def code(record: str, answer: str) -> str:
    """What stands for an answer on a sheet: it tells no variant, and of another answer is another.

    Twelve hexadecimal digits behind a letter, since a spreadsheet would read 12e4 as a number.
    """
    return "a" + hashlib.sha256(f"{record}\n{answer}".encode()).hexdigest()[:12]


def collect(predictions: Mapping[str, Sequence[Prediction]]) -> dict[str, Item]:
    """The answers of all variants to what a suite covers, by their codes.

    Variants that answer a record alike share an item: it is rated once and counts for each.
    """
    found: dict[str, Item] = {}
    for variant, rows in predictions.items():
        for row in rows:
            if row.answer_form:
                key = code(row.id, row.prediction)
                others = found[key].variants if key in found else ()
                found[key] = Item(
                    code=key,
                    record=row.id,
                    task=row.task,
                    question=row.question,
                    answer=row.prediction,
                    variants=(*others, variant),
                )
    return found
