"""Items to rate: the different answers to each test record."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockstep.predictions import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An answer to a test record."""

    code: str
    """Code of the item on a sheet."""
    record: str
    """Id of the test record."""
    task: str
    """Task of the test record."""
    question: str
    """Question of the test record."""
    answer: str
    """Answer to rate."""
    variants: tuple[str, ...]
    """Variants that gave this answer."""


def make_code(record_id: str, answer: str) -> str:
    """Return a code that identifies an answer to a record and does not reveal the variant.

    It is a letter and twelve hexadecimal digits; without the letter a spreadsheet would read
    12e4 as a number.
    """
    return "a" + hashlib.sha256(f"{record_id}\n{answer}".encode()).hexdigest()[:12]


def collect_items(predictions: Mapping[str, Sequence[Prediction]]) -> dict[str, Item]:
    """Return the items of all suites by code, from the predictions by variant.

    Variants with the same answer to a record share an item: it is rated once and counts for each.
    """
    items: dict[str, Item] = {}
    for variant, rows in predictions.items():
        for row in rows:
            if row.answer_form:
                code = make_code(row.id, row.prediction)
                other_variants = items[code].variants if code in items else ()
                items[code] = Item(
                    code=code,
                    record=row.id,
                    task=row.task,
                    question=row.question,
                    answer=row.prediction,
                    variants=(*other_variants, variant),
                )
    return items
