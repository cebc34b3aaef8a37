"""Records -> training rows, with none lost in silence."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stages import chat
from stages.errors import Refusal
from stages.records import Record


@dataclass(frozen=True, slots=True)
class Rows:
    """Tokenized rows and what truncation did to them."""

    examples: list[chat.Example]
    truncated: int
    """Rows whose answer lost its end."""
    dropped: list[str]
    """Origins of the rows whose whole answer was cut off; they are not among the examples."""


def render(
    tokenizer: Any, records: Iterable[Record], max_length: int, max_dropped_fraction: float
) -> Rows:
    """Render records to at most `max_length` tokens; Refusal where too many lose their answer."""
    examples, dropped, truncated = [], [], 0
    for record in records:
        if record.desirable is False:
            raise Refusal(
                f"{record.origin}: an answer to be avoided, which supervised tuning would learn; "
                "leave it out of prepare.sources"
            )
        example = chat.example(tokenizer, record, max_length)
        if not example.answer_tokens:
            dropped.append(record.origin)
            continue
        truncated += example.input_ids[-1] != chat.end_of_turn(tokenizer)
        examples.append(example)
    total = len(examples) + len(dropped)
    if not examples or len(dropped) > max_dropped_fraction * total:
        raise Refusal(
            f"{len(dropped)} of {total} rows lose their whole answer at train.max_length "
            f"{max_length} ({', '.join(dropped[:3])} …); raise it or train.max_dropped_fraction"
        )
    return Rows(examples, truncated, dropped)


def weighted(records: Iterable[Record]) -> list[Record]:
    """Each record as often as its weight says; a hash of its id decides on the fraction."""
    return [record for record in records for _ in range(_times(record))]


def _times(record: Record) -> int:
    fraction, whole = math.modf(record.weight)
    draw = int.from_bytes(hashlib.sha256(record.id.encode()).digest()[:8], "big") / 2**64
    return int(whole) + (draw < fraction)
