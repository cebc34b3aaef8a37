"""The rubric: the instructions of the judge, read from a YAML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from lockstep import params
from lockstep.errors import UserError
from lockstep.judging.judge_replies import REASON
from lockstep.params import Section

Text = Annotated[str, Field(pattern=r"\S")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Rubric(Section):
    """The texts from which a judge's system turn is built."""

    instruction: Text
    """Instruction that opens every system turn."""
    dimensions: Annotated[dict[Name, Text], Field(min_length=1)]
    """Meaning of each dimension, by its name."""
    pair: Text
    """Instruction for a comparison of two answers, with the form of the reply."""
    scale: Text
    """Instruction for a score of one answer, with the form of the reply."""

    @model_validator(mode="after")
    def _check_dimensions(self) -> "Rubric":
        if REASON in self.dimensions:
            raise ValueError(
                f"dimensions: {REASON} is a reserved key of the reply; rename the dimension"
            )
        return self


def read_rubric(file: Path, dimensions: Sequence[str]) -> Rubric:
    """Return the rubric with the named dimensions only, in the given order.

    Raise UserError, with every mistake, if the file is not a rubric or lacks a dimension.
    """
    values = params.parse(file)
    try:
        rubric = Rubric.model_validate(values)
    except ValidationError as error:
        lines = params.describe_errors(error, Rubric)
        raise UserError("\n".join(f"{file}: {line}" for line in lines)) from None
    for name in dimensions:
        if name not in rubric.dimensions:
            known = ", ".join(rubric.dimensions)
            raise UserError(
                f"params.yaml: judge.dimensions: {name} is not in {file}; known: {known}"
            )
    return rubric.model_copy(
        update={"dimensions": {name: rubric.dimensions[name] for name in dimensions}}
    )
