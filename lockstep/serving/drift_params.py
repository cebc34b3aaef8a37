"""The section `serving.drift` of params.yaml, which `make drift` reads."""

from typing import Annotated

from pydantic import Field

from lockstep.params import Fraction, Section


class DriftParams(Section):
    """Settings of `make drift` (docs/drift.md)."""

    tasks: list[str] = []
    """Tasks of the training records that requests are compared with; [] is all. Name those that
    users ask for, if other tasks were only trained for safety or practice."""
    minimum_effect: Fraction = 0.1
    """Smallest effect that is an alarm: the share of the requests that training would need to have
    differently. Any difference becomes significant in a large log; a tenth is worth a look."""
    minimum_texts: Annotated[int, Field(ge=40)] = 100
    """Number of texts of each side, below which nothing is tested. With 100, clear shifts in a
    third of the requests are found (docs/drift.md)."""
