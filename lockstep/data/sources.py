"""Sources: the files that prepare.sources in params.yaml lists, and their settings."""

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from lockstep.data import field_synonyms, file_reading
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
    "ifeval",
    "bfcl",
]
"""Row format of a file."""

REQUIRED_FIELDS: dict[str, tuple[str, ...]] = {
    "alpaca": ("output",),
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
    "ifeval": ("prompt", "instruction_id_list", "kwargs"),
    "bfcl": ("question", "function", "ground_truth"),
}
"""Fields that every row of a format has. `columns` maps them to the columns of a file."""

OPTIONAL_FIELDS: dict[str, tuple[str, ...]] = {
    "alpaca": ("instruction", "input", "history"),
    "preference": ("prompt",),
    "unpaired_preference": ("messages", "prompt", "completion"),
    "bfcl": ("missed_function", "excluded_function", "involved_classes"),
}
"""Fields that a row may lack, unless `columns` names them."""

BENCHMARK_FORMATS = {"ifeval": "rules", "bfcl": "calls"}
"""Formats of public benchmarks and the kinds of their answers. Their text stays as published."""

LABELLED_FORMATS = ("classification", "multi_label", "label_studio")
"""Formats whose answers are labels."""

COMMON_FIELDS = ("task", "system", "tools", "group", "weight", "id")
"""Fields that rows of any format may have. They are read if `columns` names them."""

UNNAMED_COMMON_FIELDS = ("tools",)
"""Common fields that are read even if `columns` does not name them."""


def _check_relative(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise ValueError("must be relative to data/raw and stay inside it")
    return path


def _check_suffix(path: str) -> str:
    if file_reading.file_suffix(path) not in file_reading.FILE_READERS:
        raise ValueError(
            f"must end in {', '.join(file_reading.FILE_READERS)}, plain or with "
            f"{' or '.join(file_reading.COMPRESSIONS)}"
        )
    return path


DataPath = Annotated[str, AfterValidator(_check_relative), AfterValidator(_check_suffix)]
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
    """Training weight of each row: 2.0 uses it twice, 0.5 every second time."""
    encoding: str = "utf-8"
    """Character encoding: utf-8 (with or without byte order mark), gb18030, latin-1 …"""
    columns: dict[str, str] = Field(default={})
    """Column of each field that the file names otherwise, and of task, system, tools or group."""
    constants: dict[str, JsonValue] = Field(default={})
    """Columns with one value for all rows, e.g. {language: en}."""
    slices: list[str] = Field(default=[])
    """Columns by whose values metrics are broken down."""
    system: str = ""
    """System message for conversations that have none; empty: no system message."""
    answer: Literal["", "refusal", "rules"] = ""
    """Kind of reference: refusal (`safe` or `unsafe`), rules (a JSON list of rules that an answer
    must follow); empty: the reference is an answer."""
    answers: DataPath = ""
    """Second file of data/raw, whose rows add their columns to the rows with the same `id`, such as
    the right answers of a benchmark; empty: none."""
    functions: dict[str, DataPath] = Field(default={})
    """bfcl: file with the functions of each class that `involved_classes` names, for rows without
    `function`."""
    labels: Annotated[str, AfterValidator(_check_relative)] = ""
    """classification, multi_label and label_studio: JSON file with the list of allowed labels,
    relative to data/raw; empty: all labels are allowed."""
    roles: dict[str, Literal["system", "user", "assistant", "tool", "tool_call"]] = Field(
        default={}
    )
    """Additional role names and the roles that they stand for, e.g. {Kunde: user}."""
    ignored_fields: list[str] = []
    """Keys of turns, and fields beside a conversation, that are ignored on purpose, e.g. [mood]; an
    unknown key of a turn rejects the row."""
    same_role: Literal["reject", "join"] = "reject"
    """Two consecutive messages of one role: reject the conversation, or join the messages."""
    licence: str = ""
    """Licence of the data, repeated in the data card."""

    @model_validator(mode="before")
    @classmethod
    def _name_task(cls, values: Any) -> Any:
        try:
            if values.get("task", "") == "":
                return {**values, "task": file_reading.file_stem(values["path"])}
        except (AttributeError, KeyError, TypeError):
            pass  # the validation of the fields reports what is wrong
        return values

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError:
            raise ValueError("must be an encoding that Python knows") from None
        return encoding

    @model_validator(mode="after")
    def _check_columns_and_labels(self) -> "Source":
        known = (*self.fields, *COMMON_FIELDS)
        unknown = sorted(set(self.columns) - set(known))
        if unknown:
            raise ValueError(
                f"columns: {unknown[0]} is no field of {self.format}; known: {', '.join(known)}"
            )
        if self.labels and self.format not in LABELLED_FORMATS:
            raise ValueError(f"labels: only {', '.join(LABELLED_FORMATS)} have labels")
        if self.functions and self.format != "bfcl":
            raise ValueError("functions: only bfcl has functions of classes")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the format."""
        return (*REQUIRED_FIELDS[self.format], *OPTIONAL_FIELDS.get(self.format, ()))

    @property
    def required_columns(self) -> Collection[str]:
        """Columns that the file must have, if no second file may add them."""
        if self.answers or self.functions:
            return [*self.slices, *([self.get_column("id")] if self.answers else [])]
        columns = [self.get_column(name) for name in REQUIRED_FIELDS[self.format]]
        unique = dict.fromkeys([*columns, *self.columns.values(), *self.slices])
        return [name for name in unique if name not in self.constants]

    @property
    def used_columns(self) -> Collection[str]:
        """Columns of the file that are read, or ignored on purpose, if they exist."""
        fields = (*self.fields, *UNNAMED_COMMON_FIELDS)
        columns = {*map(self.get_column, fields), *self.required_columns, *self.ignored_fields}
        if self.is_conversational:
            columns |= field_synonyms.ROW_FIELDS | field_synonyms.IGNORED_COLUMNS
        return (
            columns | field_synonyms.PREFERENCE_FIELDS if self.format == "preference" else columns
        )

    @property
    def is_conversational(self) -> bool:
        """Whether rows may have the fields of `field_synonyms` beside the conversation."""
        return self.format in field_synonyms.CONVERSATIONAL_FORMATS

    def get_column(self, field: str) -> str:
        """Return the name of the column that holds a field."""
        return self.columns.get(field, field)
