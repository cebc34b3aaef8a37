"""The list of sources in params.yaml: which files, in which format, under which names."""

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from lockstep.data import containers
from lockstep.params import PositiveFloat, Section

Format = Literal[
    "alpaca",
    "messages",
    "sharegpt",
    "prompt_completion",
    "preference",
    "unpaired_preference",
    "classification",
    "multi_label",
    "regression",
    "text",
    "label_studio",
]

NEEDED: dict[str, tuple[str, ...]] = {
    "alpaca": ("instruction", "output"),
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "prompt_completion": ("prompt", "completion"),
    "preference": ("chosen", "rejected"),
    "unpaired_preference": ("label",),
    "classification": ("text", "label"),
    "multi_label": ("text", "labels"),
    "regression": ("text", "value"),
    "text": ("text",),
    "label_studio": ("text",),
}
"""The fields that every row of a format has; `columns` gives a file's own names for them."""

OPTIONAL: dict[str, tuple[str, ...]] = {
    "alpaca": ("input", "history"),
    "preference": ("prompt",),
    "unpaired_preference": ("messages", "prompt", "completion"),
}
"""The fields that a row may lack, unless `columns` names them."""

LABELLED = ("classification", "multi_label", "label_studio")
"""The formats whose answers are labels."""

ANYWHERE = ("task", "system", "tools", "group")
"""What a row of any format may say of itself; read only where `columns` names the column."""

OF_FORMAT = ("tools",)
"""Of these, what is read under its own name too."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise ValueError("must be relative to data/raw and stay inside it")
    return path


def _container(path: str) -> str:
    if containers.kind(path) not in containers.ROWS:
        raise ValueError(
            f"must end in {', '.join(containers.ROWS)}, plain or with "
            f"{' or '.join(containers.COMPRESSIONS)}"
        )
    return path


DataPath = Annotated[str, AfterValidator(_inside), AfterValidator(_container)]
"""A file of rows, relative to data/raw."""


class Source(Section):
    """One file of data/raw."""

    path: DataPath
    """Relative to data/raw; .jsonl, .json, .csv, .tsv or .parquet, plain or in .gz or .zip."""
    format: Format
    task: Annotated[str, Field(min_length=1)]
    """Groups records for scoring and reporting, e.g. intent; a `task` column wins."""
    split: Literal["auto", "train", "validation", "test"]
    """auto: divided by `prepare.split`; otherwise all rows go there."""
    weight: PositiveFloat
    """How often training sees each row: 2.0 twice, 0.5 every second one."""
    encoding: str
    """utf-8 (with or without BOM), gb18030, latin-1 …"""
    columns: dict[str, str]
    """Field of the format, or task, system, tools or group -> name in the file."""
    constants: dict[str, JsonValue]
    """Columns that every row gets, e.g. a language that the file does not name."""
    slices: list[str]
    """Columns kept with the record, by which figures are broken down."""
    system: str
    """A system turn put before each conversation that has none; empty for none."""
    labels: Annotated[str, AfterValidator(_inside)]
    """classification, label_studio: JSON list of the allowed labels, relative to data/raw; empty:
    any."""
    roles: dict[str, Literal["system", "user", "assistant", "tool", "tool_call"]]
    """Names of roles beyond the known ones."""
    same_role: Literal["reject", "join"]
    """Two turns of one role in a row: reject the conversation, or join them."""
    licence: str
    """Under which the data may be used; the data card repeats it."""

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
        known = (*self.fields, *ANYWHERE)
        strange = sorted(set(self.columns) - set(known))
        if strange:
            raise ValueError(
                f"columns: {strange[0]} is no field of {self.format}; known: {', '.join(known)}"
            )
        if self.labels and self.format not in LABELLED:
            raise ValueError(f"labels: only {', '.join(LABELLED)} have labels")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the format."""
        return (*NEEDED[self.format], *OPTIONAL.get(self.format, ()))

    @property
    def in_file(self) -> Collection[str]:
        """The file's columns without which no row could be read."""
        needed = [self.column(name) for name in NEEDED[self.format]]
        named = dict.fromkeys([*needed, *self.columns.values(), *self.slices])
        return [name for name in named if name not in self.constants]

    @property
    def used(self) -> Collection[str]:
        """All of the file's columns that are looked at."""
        return {*map(self.column, (*self.fields, *OF_FORMAT)), *self.in_file}

    def column(self, field: str) -> str:
        """The file's own name of a field."""
        return self.columns.get(field, field)
