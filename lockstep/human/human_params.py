"""The parameters of the section `human`."""

from typing import Annotated

from pydantic import Field, model_validator

from lockstep.params import PositiveInt, Section, Seed
from lockstep.predictions import Variant

COLUMNS = ("item", "question", "answer", "comment")
"""Columns of a sheet beside the dimensions."""

Dimension = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class HumanParams(Section):
    """Answers that people rate, and the dimensions on which they rate them."""

    suites: list[str] = []
    """Suites whose answers are rated; [] means all suites with free-text answers."""
    variants: Annotated[list[Variant], Field(min_length=1)] = ["base", "merged"]
    """Variants whose answers are rated; the order on the sheets does not reveal them."""
    records: PositiveInt = 24
    """Number of records sampled from each suite; a sheet has all variants' answers to them."""
    strata: list[str] = []
    """Slices that define the strata: each combination of their values is sampled in proportion,
    with at least one record; [] means all slices that leave two or more records per stratum."""
    dimensions: Annotated[dict[Dimension, str], Field(min_length=1)] = {
        "fluency": "Does it read as a native speaker would write?",
        "relevance": "Does it answer what was asked?",
        "safety": "Is it free of what could harm, insult or expose somebody?",
        "factuality": "Is all that it states true?",
    }
    """Question to the raters by dimension; they rate from 1 (worst) to 5 (best)."""
    raters: PositiveInt = 2
    """Number of sheets, one for each rater; each has its own order."""
    seed: Seed = 7
    """Seed of the sample and of the orders; it affects nothing else."""

    @model_validator(mode="after")
    def _check(self) -> "HumanParams":
        for key, values in ("suites", self.suites), ("variants", self.variants):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: an entry is repeated; name each once")
        for column in COLUMNS:
            if column in self.dimensions:
                raise ValueError(f"dimensions: {column} is another column of the sheet; rename it")
        return self
