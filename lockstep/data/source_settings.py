"""Settings of a source: the keys of an entry of prepare.sources in params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from lockstep.data import file_reading
from lockstep.data.cleaning.cleaner import Steps
from lockstep.data.rows import column_values, row_filter, row_templates
from lockstep.data.source_formats import Format
from lockstep.data.source_paths import DataPath, HubDataSet, check_relative
from lockstep.params import Fraction, NaturalInt, PositiveFloat, Section
from lockstep.predictions import LINKING_SLICES


class SourceSettings(Section):
    """Settings of a source, each checked by itself."""

    path: DataPath = ""
    """Path relative to data/raw: a .jsonl, .json, .csv, .tsv, .parquet or .xlsx file, or CoNLL's
    .conll or .txt, plain or compressed (.gz, .bz2, .xz, .zip); a folder, whose files are all read;
    or a glob pattern such as `dialogues/*.jsonl` (`**` for any folders)."""
    hub: HubDataSet = ""
    """Data set on the Hugging Face Hub, instead of `path`: owner/name@revision, with all 40 digits
    of the revision; its files are downloaded once, to .scratch/data_sets."""
    hub_config: str = ""
    """hub: configuration, also called subset, e.g. en; empty: the default one."""
    hub_split: str = "train"
    """hub: split of the data set that is read."""
    format: Format
    """Format of the rows."""
    task: str = ""
    """Name by which records are grouped for evaluation and reporting, e.g. intent; empty: the
    file's name without its suffix, and the control. A `task` column overrides it."""
    split: Literal["auto", "train", "validation", "test"] = "auto"
    """Split of all rows; auto: divided by `prepare.split`."""
    round: NaturalInt = 0
    """Round of continual learning in which the rows came in. A later round moves no record of an
    earlier one to another split, and forgetting is measured on the test records of all rounds
    before the last."""
    weight: PositiveFloat = 1.0
    """Training weight of each row: 2.0 uses it twice, 0.5 every second time."""
    encoding: str = "utf-8"
    """Character encoding: utf-8 (with or without byte order mark), gb18030, latin-1 …"""
    delimiter: Annotated[str, Field(max_length=1)] = ""
    """.csv and .tsv: character between cells, e.g. ";" or "\t"; empty: guessed, with a note."""
    quote: Literal["", '"', "'", "none"] = ""
    """.csv and .tsv: character around cells that contain the delimiter; none: there is no such
    character; empty: guessed, with a note."""
    extra_cells: Literal["reject", "join"] = "reject"
    """.csv and .tsv: a row with cells beyond the last column that has a name: reject it, or join
    these cells to that column, with the delimiter, since it holds text that nobody quoted."""
    header: bool = True
    """.csv, .tsv and .xlsx: whether the first row names the columns; false: the columns are called
    0, 1, … and the first row is data."""
    rows: str = ""
    """.json and .jsonl: path of the rows inside a value, e.g. `train` or
    `data.*.paragraphs.*.qas`, where * stands for every element or member; empty: the shape of the
    file tells where its rows are."""
    sheet: str = ""
    """.xlsx: name of the sheet; empty: the first one."""
    members: str = ""
    """.zip: glob pattern of the files in it that are read, e.g. "train*.json"; empty: all."""
    columns: dict[str, str] = Field(default={})
    """Column of each field that the file names otherwise, and of task, system, tools or group; a
    path such as instances.0.output leads into lists and objects."""
    templates: dict[str, str] = Field(default={})
    """Text of a field, built from columns: {prompt: "Department: {department}, {ask}"}. Two braces
    stand for one; a row that lacks a column, or has null in it, is rejected."""
    constants: dict[str, JsonValue] = Field(default={})
    """Columns with one value for all rows, e.g. {language: en}."""
    where: str = ""
    """Condition that a row must meet, e.g. language == "en" and rating >= 4; empty: all rows. It
    may contain comparisons, and, or, not, in, null, column("odd name"), len(x), lower(x),
    number(x) and matches(x, "regular expression")."""
    sample: Annotated[float, Field(ge=0)] = 0.0
    """Rows chosen among those that `where` leaves: a share (below 1) or a number (1 and more), by a
    hash of `seed` and the row, so that added or moved rows change little; 0: all rows."""
    limit: NaturalInt = 0
    """Maximum number of rows, after `where` and `sample`; reading stops there; 0: all rows."""
    max_rejected_fraction: Fraction | None = None
    """Maximum share of rejected rows of this source; null: it counts towards
    `prepare.max_rejected_fraction`."""
    slices: list[str] = Field(default=[])
    """Columns by whose values metrics are broken down. A row that lacks one has the value "". The
    names split, zero_shot, parent and perturbation are the pipeline's own."""
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
    labels: Annotated[str, AfterValidator(check_relative)] = ""
    """classification, multi_label and label_studio: JSON file with the list of allowed labels,
    relative to data/raw; empty: all labels are allowed."""
    label_names: dict[str, str] = Field(default={})
    """Name of each label that is stored as a number or code: a mapping such as {0: refund, 1:
    order}, or the list of names in the order of the numbers from 0; empty: labels are names.
    preference: a, b or tie for each value of the column of `winner`."""
    label_columns: list[str] = Field(default=[])
    """classification and multi_label: columns of 0 and 1 whose names are the labels of the rows
    with a 1, instead of a column of labels, e.g. [toxic, insult]; classification needs one 1."""
    control: str = ""
    """label_studio: name of the control whose answers are read; empty: the only one."""
    annotation: Literal["", "labels", "mean", "text", "tags", "utterances"] = ""
    """label_studio: other reading of the answers. labels: choices are always a list; text: choices
    of JSON-MIN are free text; mean: ratings and numbers are averaged; tags: spans are tags in the
    text (spans too); utterances: each labelled turn of a dialogue is a record. Empty: see
    docs/annotation.md."""
    ends: Literal["", "exclusive", "inclusive"] = ""
    """spans: whether the end of a span is its last character or token (inclusive), or the one after
    it; empty: the marked texts decide that are repeated beside it; exclusive without any."""
    roles: dict[str, Literal["system", "user", "assistant", "tool", "tool_call"]] = Field(
        default={}
    )
    """Additional role names and the roles that they stand for, e.g. {Kunde: user}."""
    turn_separator: str = ""
    """messages and sharegpt: what stands between the turns of a conversation in one text, whose
    turns alternate between user and assistant, e.g. "\n" or __eou__; empty: turns begin with the
    names of speakers."""
    ignored_fields: list[str] = []
    """Keys of turns, and fields beside a conversation, that are ignored on purpose, e.g. [mood]; an
    unknown key of a turn rejects the row."""
    same_role: Literal["reject", "join"] = "reject"
    """Two consecutive messages of one role: reject the conversation, or join the messages."""
    unanswered: Literal["reject", "drop"] = "reject"
    """A conversation that ends with turns of the user: reject it, or drop these turns, which the
    card counts as `shortened`."""
    clean: Steps | None = None
    """Cleaning steps of this source instead of `prepare.clean`: a list, or the steps of each role
    ({assistant: []}); a role that is not named keeps those of `prepare.clean`."""
    licence: str = ""
    """Licence of the data, repeated in the data card."""

    @model_validator(mode="before")
    @classmethod
    def _name_task(cls, values: Any) -> Any:
        try:
            if values.get("task", "") == "":
                hub_name = values.get("hub", "").partition("@")[0].rpartition("/")[2]
                stem = hub_name or file_reading.file_stem(values["path"])
                parts = (stem, values.get("control", ""))
                return {**values, "task": "_".join(filter(None, parts))}
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

    @field_validator("label_names", mode="before")
    @classmethod
    def _index_label_names(cls, names: Any) -> Any:
        """Return a mapping from the text of each code to its name."""
        if isinstance(names, list):
            names = dict(enumerate(names))
        if not isinstance(names, dict):
            return names
        return {column_values.write_text(code): name for code, name in names.items()}

    @field_validator("where")
    @classmethod
    def _check_condition(cls, where: str) -> str:
        if where:
            row_filter.Condition(where)
        return where

    @field_validator("sample")
    @classmethod
    def _check_sample(cls, sample: float) -> float:
        if sample > 1 and not sample.is_integer():
            raise ValueError("must be a share below 1 or a whole number of rows")
        return sample

    @field_validator("slices")
    @classmethod
    def _refuse_linking_slices(cls, slices: list[str]) -> list[str]:
        for name in slices:
            if name in LINKING_SLICES:
                raise ValueError(
                    f"the pipeline has a slice {name} of its own; remove it, or make each value a "
                    f"task by columns: {{task: {name}}}"
                )
        return slices

    @field_validator("templates")
    @classmethod
    def _check_templates(cls, templates: dict[str, str]) -> dict[str, str]:
        for text in templates.values():
            row_templates.parse_template(text)
        return templates
