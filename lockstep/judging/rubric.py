"""The rubric: what a judge is told, in a file."""

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
    """The texts of a judge's system turn."""

    instruction: Text
    """What a judge does, whatever it is asked."""
    dimensions: Annotated[dict[Name, Text], Field(min_length=1)]
    """Name -> what it means."""
    pair: Text
    """How two answers are compared, and the form of the reply."""
    scale: Text
    """How one answer is scored, and the form of the reply."""

    @model_validator(mode="after")
    def _distinct(self) -> "Rubric":
        if REASON in self.dimensions:
            raise ValueError(f"dimensions: {REASON} is the reply's own key; name it otherwise")
        return self


def read(file: Path, dimensions: Sequence[str]) -> Rubric:
    """The rubric with the chosen dimensions alone, in their order; UserError with every mistake."""
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
                f"params.yaml: judge.dimensions: {name} is none of {file}; known: {known}"
            )
    return rubric.model_copy(
        update={"dimensions": {name: rubric.dimensions[name] for name in dimensions}}
    )
