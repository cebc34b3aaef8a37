"""The `prepare` section of params.yaml: sources, cleaning, duplicates and splits."""

from itertools import combinations
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lockstep.data.cleaning.cleaner import Steps
from lockstep.data.contamination import DecontaminateParams
from lockstep.data.duplicates import DuplicatesParams
from lockstep.data.quality import QualityParams
from lockstep.data.source_formats import LABELLED_FORMATS
from lockstep.data.sources import Source
from lockstep.data.splitting import SplitParams
from lockstep.params import Fraction, PositiveInt, Section
from lockstep.patterns import Pattern


class PrepareParams(Section):
    """Files that are read, their cleaning, and the division of their records into splits."""

    source_defaults: dict[str, Any] = Field(default={})
    """Values for every source that does not set them itself, e.g. {encoding: gb18030}; not for
    licence, which would pass to data that are added later."""
    sources: Annotated[list[Source], Field(min_length=1)]
    """Files of data/raw that are read, in this order."""
    unknown_columns: Literal["note", "refuse"] = "note"
    """Columns that nothing reads: note names them in a line and in the data card, refuse is an
    error."""
    mismatched_arguments: Literal["note", "reject"] = "note"
    """Calls whose arguments do not match the parameters of the function: note counts their rows in
    a line and in the data card, reject leaves them out."""
    clean: Steps
    """Cleaning steps, applied in this order: a list for all text but tools' results and arguments,
    or the steps of each role ({user: [space], arguments: [space]}): system, user, assistant,
    reasoning, text (rows of the format text), tool, arguments. Other roles are not cleaned."""
    boilerplate: list[Pattern] = Field(default=[])
    """Regular expressions; the cleaning step `boilerplate` deletes each match."""
    max_characters: PositiveInt = 100_000
    """Maximum number of characters of a message; a row with a longer one is rejected."""
    max_rejected_fraction: Fraction
    """Maximum share of rejected rows; the stage fails if it is exceeded. Rows that the file itself
    keeps from learning, e.g. by `train: false`, do not count."""
    quality: QualityParams = QualityParams()
    duplicates: DuplicatesParams
    decontaminate: DecontaminateParams = DecontaminateParams()
    split: SplitParams

    @model_validator(mode="before")
    @classmethod
    def _apply_source_defaults(cls, values: Any) -> Any:
        try:
            defaults = values.get("source_defaults", {})
            sources = [{**defaults, **source} for source in values["sources"]]
        except (AttributeError, KeyError, TypeError):
            return values  # the validation of the fields reports what is wrong
        return {**values, "sources": sources}

    @field_validator("source_defaults")
    @classmethod
    def _refuse_common_licence(cls, defaults: dict[str, Any]) -> dict[str, Any]:
        if "licence" in defaults:
            raise ValueError("licence belongs to each source; name it there")
        return defaults

    @field_validator("sources")
    @classmethod
    def _refuse_repeated_paths(cls, sources: list[Source]) -> list[Source]:
        for source, other in combinations(sources, 2):
            place = str(PurePosixPath(source.location))
            if place != str(PurePosixPath(other.location)):
                continue
            is_part = source.reads_other_part(other)
            if not is_part and not source.reads_otherwise(other):
                raise ValueError(
                    f"{place} is listed twice; list each file once, or give each source its own "
                    "format or columns and its own task"
                )
            for each in (source, other):
                each.note_shared_file(shares_rows=not is_part)
        return sources

    @property
    def labelled_sources(self) -> list[Source]:
        """Sources whose answers are labels."""
        return [source for source in self.sources if source.format in LABELLED_FORMATS]

    @property
    def rounds(self) -> dict[str, int]:
        """Round of each source, by its name."""
        return {source.name: source.round for source in self.sources}

    @property
    def strata(self) -> list[str]:
        """Names of the strata: `split.by`, or the task and the slices of all divided sources.

        Sources of later rounds do not count, since they would change the splits of the others.
        """
        if self.split.by:
            return self.split.by
        sources = [source for source in self.sources if source.round == min(self.rounds.values())]
        divided = [source.slices for source in sources if source.split == "auto"]
        first, *others = divided or [[]]
        return ["task", *(name for name in first if all(name in slices for slices in others))]
