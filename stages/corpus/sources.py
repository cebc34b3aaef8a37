"""The list of sources in params.yaml: which files, in which format, under which names."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from stages.params import PositiveFloat, Section

CANONICAL = {
    "alpaca": ("instruction", "input", "output"),
    "messages": ("messages",),
    "prompt_completion": ("prompt", "completion"),
    "classification": ("text", "label"),
}
"""The fields that each format reads; `columns` gives a file's own names for them."""

OPTIONAL = {"input"}
"""Fields that a row may lack, unless `columns` names them."""


class Source(Section):
    """One file of data/raw."""

    path: str
    """Relative to data/raw; .jsonl, .json (an array of objects) or .csv."""
    format: Literal["alpaca", "messages", "prompt_completion", "classification"]
    task: Annotated[str, Field(min_length=1)]
    """Groups records for scoring and reporting, e.g. intent."""
    split: Literal["auto", "train", "validation", "test"]
    """auto: divided by `prepare.split`; otherwise all rows go there."""
    weight: PositiveFloat
    """How often training sees each row: 2.0 twice, 0.5 every second one."""
    encoding: str
    """utf-8 (with or without BOM), gb18030, latin-1 …"""
    columns: dict[str, str]
    """Field of the format -> name in the file, where they differ."""
    slices: list[str]
    """Columns kept with the record, by which figures are broken down."""
    system: str
    """A system turn put before each conversation that has none; empty for none."""
    labels: str
    """classification: JSON list of the allowed labels, relative to data/raw; empty: any."""

    @field_validator("path", "labels")
    @classmethod
    def _inside(cls, path: str) -> str:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or "\\" in path:
            raise ValueError("must be relative to data/raw and stay inside it")
        return path

    @field_validator("path")
    @classmethod
    def _container(cls, path: str) -> str:
        if PurePosixPath(path).suffix not in (".jsonl", ".json", ".csv"):
            raise ValueError("must end in .jsonl, .json or .csv")
        return path

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError:
            raise ValueError("must be an encoding that Python knows") from None
        return encoding

    @model_validator(mode="after")
    def _fields(self) -> "Source":
        known = CANONICAL[self.format]
        strange = sorted(set(self.columns) - set(known))
        if strange:
            raise ValueError(f"columns: {strange[0]} is no field of {self.format} {known}")
        if self.labels and self.format != "classification":
            raise ValueError("labels: only classification has labels")
        return self

    def requires(self, field: str) -> bool:
        """Whether each row must have the field."""
        return field not in OPTIONAL or field in self.columns

    def column(self, field: str) -> str:
        """The file's own name of a field."""
        return self.columns.get(field, field)
