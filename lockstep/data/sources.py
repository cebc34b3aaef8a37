"""The list of sources in params.yaml: which files, in which format, under which names."""

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

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
    """A file of data/raw."""

    path: DataPath
    """Path relative to data/raw: .jsonl, .json, .csv, .tsv or .parquet, plain, .gz or .zip."""
    format: Format
    """Format of the rows."""
    task: str = ""
    """Name by which records are grouped for evaluation and reporting, e.g. intent; empty: the
    file's name without its suffix. A `task` column overrides it."""
    split: Literal["auto", "train", "validation", "test"] = "auto"
    """Split of all rows; auto: divided by `prepare.split`."""
    weight: PositiveFloat = 1.0
    """How often training uses each row: 2.0 twice, 0.5 every second row."""
    encoding: str = "utf-8"
    """Character encoding: utf-8 (with or without byte order mark), gb18030, latin-1 …"""
    columns: dict[str, str] = Field(default={})
    """Name of the column for a field of the format, or for task, system, tools or group."""
    constants: dict[str, JsonValue] = Field(default={})
    """Columns with one value for all rows, e.g. {language: en}."""
    slices: list[str] = Field(default=[])
    """Columns by whose values metrics are broken down."""
    system: str = ""
    """System message for conversations that have none; empty: no system message."""
    answer: Literal["", "refusal", "rules"] = ""
    """Kind of the answers, where they are no answers but say how to judge one: refusal (safe or
    unsafe) or rules (a JSON list of rules); empty: the format and the rows determine it."""
    labels: Annotated[str, AfterValidator(_inside)] = ""
    """classification, multi_label and label_studio: JSON file with the list of allowed labels,
    relative to data/raw; empty: all labels are allowed."""
    roles: dict[str, Literal["system", "user", "assistant", "tool", "tool_call"]] = Field(
        default={}
    )
    """Additional role names and the roles that they stand for, e.g. {Kunde: user}."""
    same_role: Literal["reject", "join"] = "reject"
    """Two consecutive messages of one role: reject the conversation, or join the messages."""
    licence: str = ""
    """Licence of the data, repeated in the data card."""

    @model_validator(mode="before")
    @classmethod
    def _name_task(cls, values: Any) -> Any:
        try:
            task = values.get("task", "") or containers.stem(values["path"])
        except (AttributeError, KeyError, TypeError):
            return values  # the validation of the fields reports what is wrong
        return {**values, "task": task}

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
