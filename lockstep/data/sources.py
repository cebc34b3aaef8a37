"""Sources: the files that prepare.sources in params.yaml lists, and the columns that they need."""

from collections.abc import Collection
from pathlib import PurePosixPath

from pydantic import PrivateAttr, model_validator

from lockstep.data import source_checks
from lockstep.data.file_reading import Columns, Layout
from lockstep.data.files.json_rows import ARRAY_COLUMN
from lockstep.data.rows import field_synonyms, row_filter, row_templates
from lockstep.data.source_formats import (
    BENCHMARK_FORMATS,
    COMPARISON_FIELDS,
    LABEL_FIELDS,
    OPTIONAL_FIELDS,
    REQUIRED_FIELDS,
    UNNAMED_COMMON_FIELDS,
)
from lockstep.data.source_settings import SourceSettings


class Source(SourceSettings):
    """A file of data/raw, or several files of one kind."""

    _shares_file: bool = PrivateAttr(default=False)
    _shares_rows: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _check_settings(self) -> "Source":
        source_checks.check_settings(self)
        return self

    @property
    def name(self) -> str:
        """Name of the source in records and in the card: its place, and the part that it reads."""
        where = " ".join(self.where.split()) if self._shares_file else ""
        parts = [self.members, self.rows, self.sheet, self.control, where]
        if self.hub:
            parts = [self.hub_config, self.hub_split, *parts]
        parts = [part for part in [*parts, self.task if self._shares_rows else ""] if part]
        return "#".join([str(PurePosixPath(self.location)) if parts else self.location, *parts])

    @property
    def location(self) -> str:
        """The path, or the data set on the hub."""
        return self.path or self.hub

    def note_shared_file(self, *, shares_rows: bool) -> None:
        """Remember that another source has the same files or rows, which the name tells apart."""
        self._shares_file = True
        self._shares_rows = self._shares_rows or shares_rows

    def reads_otherwise(self, other: "Source") -> bool:
        """Whether two sources make different tasks of the same rows, such as intents and slots."""
        names = ("format", "columns", "templates", "annotation")
        is_other = any(getattr(self, name) != getattr(other, name) for name in names)
        return is_other and self.task != other.task

    def reads_other_part(self, other: "Source") -> bool:
        """Whether two sources of one file read different parts of it, as far as settings tell.

        Two conditions may hold for the same row, which is refused when the row is read.
        """
        pairs = (
            (self.rows, other.rows),
            (self.sheet, other.sheet),
            (self.members, other.members),
            (self.control, other.control),
            (self.hub_config, other.hub_config),
            (self.hub_split, other.hub_split),
            (self.where, other.where),
        )
        return any(mine and its and mine != its for mine, its in pairs)

    @property
    def layout(self) -> Layout:
        """Where the rows of the files are."""
        return Layout(
            delimiter=self.delimiter,
            quote=self.quote,
            joins_extra_cells=self.extra_cells == "join",
            header=self.header,
            rows=self.rows,
            sheet=self.sheet,
            members=self.members,
        )

    @property
    def expected_columns(self) -> Columns:
        """Columns for which the files are checked."""
        numbers = [self.get_column("value")] if self.format == "regression" else []
        numbers += self.where_numbers
        required = self.needed_columns
        if self.answers or self.functions:  # which may hold the columns that the files lack
            required = [self.get_column("id")] if self.answers else []
        return Columns(required=required, used=self.used_columns, numbers=numbers)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the format, without those in place of which settings name columns."""
        fields = (*REQUIRED_FIELDS[self.format], *OPTIONAL_FIELDS.get(self.format, ()))
        if self.label_columns:
            return tuple(name for name in fields if name not in LABEL_FIELDS)
        return fields

    @property
    def needed_columns(self) -> Collection[str]:
        """Columns without which no row becomes a record."""
        required = REQUIRED_FIELDS[self.format]
        fields = [name for name in self.fields if name in required and name not in self.templates]
        if self.sets("winner"):
            fields = [*COMPARISON_FIELDS]
        if self.format in ("spans", "turns"):
            fields = [name for name in self.fields if name in self.columns]
        names = [*map(self.get_column, fields), *self.template_columns, *self.label_columns]
        return self._drop_constants(names)

    @property
    def named_columns(self) -> Collection[str]:
        """Columns that the settings name: at least one row must have each of them."""
        names = [*self.columns.values(), *self.slices, *self.template_columns, *self.where_columns]
        names += self.label_columns
        return self._drop_constants(names)

    @property
    def used_columns(self) -> Collection[str]:
        """Columns of the file that are read or ignored on purpose, and those of the settings."""
        fields = (*self.fields, *UNNAMED_COMMON_FIELDS)
        names = {*map(self.get_column, fields), *self.named_columns, *self.ignored_fields}
        names |= self.constants.keys() | self.templates.keys()
        if self.answers:
            names.add(self.get_column("id"))
        if self.is_conversational:
            names |= field_synonyms.ROW_FIELDS | field_synonyms.IGNORED_COLUMNS
        if self.format == "turns":
            names |= field_synonyms.TURN_KEYS
        if ARRAY_COLUMN in self.columns.values():
            names |= {*field_synonyms.TURN_KEYS, *field_synonyms.REPLY_KEYS}
        if self.format == "preference":
            names |= field_synonyms.PREFERENCE_FIELDS
        return {*names, *(name.split(".")[0] for name in names)}

    @property
    def template_columns(self) -> list[str]:
        """Columns that the templates name."""
        return [
            name for text in self.templates.values() for name in row_templates.list_columns(text)
        ]

    @property
    def where_columns(self) -> list[str]:
        """Columns that the condition names."""
        return row_filter.Condition(self.where).columns if self.where else []

    @property
    def where_numbers(self) -> list[str]:
        """Columns that the condition reads as numbers, and that nothing reads as text."""
        numbers = row_filter.Condition(self.where).numbers if self.where else []
        texts = {*map(self.get_column, self.fields), *self.slices, *self.template_columns}
        return [name for name in dict.fromkeys(numbers) if name not in texts]

    @property
    def is_published_test(self) -> bool:
        """Whether the rows are the test of a public benchmark, which stays as it is."""
        return self.format in BENCHMARK_FORMATS and self.split == "test"

    @property
    def is_conversational(self) -> bool:
        """Whether rows may have the fields of `field_synonyms` beside the conversation."""
        return self.format in field_synonyms.CONVERSATIONAL_FORMATS

    def get_column(self, field: str) -> str:
        """Return the name of the column that holds a field."""
        return self.columns.get(field, field)

    def sets(self, field: str) -> bool:
        """Whether the settings say where a field comes from: a column or a template."""
        return field in self.columns or field in self.templates

    def _drop_constants(self, names: list[str]) -> list[str]:
        return [name for name in dict.fromkeys(names) if name not in self.constants]
