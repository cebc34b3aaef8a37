"""Set record weights so that each value of a slice has its share of the training data."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field, field_validator

from lockstep.errors import UserError
from lockstep.params import PositiveFloat, Section
from lockstep.records import Record


class Mix(Section):
    """Target shares of the values of one slice."""

    slice: Annotated[str, Field(min_length=1)]
    """Name of a slice, or `task`."""
    shares: Annotated[dict[str, PositiveFloat], Field(min_length=2)]
    """Share of each value of the slice; the shares add up to 1."""

    @field_validator("shares")
    @classmethod
    def _check_sum(cls, shares: dict[str, float]) -> dict[str, float]:
        if abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError("must add up to 1")
        return shares


def reweight_records(records: Sequence[Record], mix: Mix) -> list[Record]:
    """Scale the records' weights so that each value of the slice has its share of them.

    The total weight stays the same, and records without the slice keep their weight. Raise
    UserError if the shares and the records do not have the same values.
    """
    weights: defaultdict[str, float] = defaultdict(float)
    for record in records:
        weights[_get_slice_value(record, mix.slice)] += record.weight
    weights.pop("", None)
    if unmatched := sorted(set(weights) ^ set(mix.shares)):
        known = ", ".join(sorted(weights)) or "none"
        raise UserError(
            f"params.yaml: augment.mix: {mix.slice} {unmatched[0]} must be both in the shares and "
            f"in the training records; the records have {known}"
        )
    total = sum(weights.values())
    factors = {value: mix.shares[value] * total / weight for value, weight in weights.items()}
    return [_scale_weight(record, factors, mix.slice) for record in records]


def _scale_weight(record: Record, factors: Mapping[str, float], slice_name: str) -> Record:
    factor = factors.get(_get_slice_value(record, slice_name), 1.0)
    return replace(record, weight=round(record.weight * factor, 6))


def _get_slice_value(record: Record, slice_name: str) -> str:
    return record.task if slice_name == "task" else record.slices.get(slice_name, "")
