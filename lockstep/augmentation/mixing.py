"""The weights that bring a slice to the share it is to have in training."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field, field_validator

from lockstep.errors import UserError
from lockstep.params import PositiveFloat, Section
from lockstep.records import Record


class Mix(Section):
    """The shares of a slice's values in what training sees."""

    slice: Annotated[str, Field(min_length=1)]
    """`task`, or the name of a slice."""
    shares: Annotated[dict[str, PositiveFloat], Field(min_length=2)]
    """Value -> share; they add up to 1."""

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: dict[str, float]) -> dict[str, float]:
        if abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError("must add up to 1")
        return shares


def weighted(records: Sequence[Record], mix: Mix) -> list[Record]:
    """The records with weights by which each value has its share; the total weight stays."""
    weights: defaultdict[str, float] = defaultdict(float)
    for record in records:
        weights[_value(record, mix.slice)] += record.weight
    weights.pop("", None)
    if strange := sorted(set(weights) ^ set(mix.shares)):
        known = ", ".join(sorted(weights)) or "none"
        raise UserError(
            f"params.yaml: augment.mix: {mix.slice} {strange[0]} is not both in the shares and in "
            f"the training records; these have {known}"
        )
    total = sum(weights.values())
    factors = {value: mix.shares[value] * total / weight for value, weight in weights.items()}
    return [_scaled(record, factors, mix.slice) for record in records]


def _scaled(record: Record, factors: Mapping[str, float], name: str) -> Record:
    factor = factors.get(_value(record, name), 1.0)
    return replace(record, weight=round(record.weight * factor, 6))


def _value(record: Record, name: str) -> str:
    return record.task if name == "task" else record.slices.get(name, "")
