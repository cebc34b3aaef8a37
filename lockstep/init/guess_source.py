"""Inspect the first rows of a data file: their format, columns, labels and languages."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lockstep.data import file_reading, language
from lockstep.data.file_reading import Columns, Notes
from lockstep.data.rows import column_values
from lockstep.data.rows.column_hints import find_flag_columns
from lockstep.errors import UserError
from lockstep.init.format_rules import FORMATS, Row, add_nested_columns, parse_row

MAX_ROWS = 2000
"""Maximum number of rows that are inspected."""
OBJECTIVES = {
    "preference": "dpo",
    "unpaired_preference": "kto",
    "multi_label": "classification",
    "regression": "regression",
}
"""Format -> training objective; sft for all others."""
_NAMED_FIELDS = ("conversation", "parent")
"""Fields of the format turns, which has no default column for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceGuess:
    """Description of a data file."""

    format: str
    columns: dict[str, str]
    """Field of the format -> column of the file, where the names differ."""
    label_columns: list[str]
    """Columns of 0 and 1 whose names are the labels."""
    encoding: str
    rows: int
    """Number of inspected rows."""
    fields: list[str]
    """Columns of the file."""
    labels: dict[str, int]
    """Label -> number of rows, for formats with labels."""
    languages: dict[str, int]
    """Language by script -> number of rows."""
    characters: tuple[int, int]
    """Median and maximum number of characters of a row's texts."""

    @property
    def objective(self) -> str:
        """Training objective that fits the format."""
        return OBJECTIVES.get(self.format, "sft")


def guess_source(path: Path) -> SourceGuess:
    """Inspect the first rows of a file, or of the files of a folder.

    Values inside lists and objects are columns if no format fits without them. Raise UserError if
    none fits with them either.
    """
    encoding, rows = _read_rows(path)
    fields = list(dict.fromkeys(name for row in rows for name in row))
    for candidates in (rows, [add_nested_columns(row) for row in rows]):
        for format, matches in FORMATS:
            columns = matches(candidates)
            if columns is not None:
                return _describe(format, columns, encoding, rows, fields)
    raise UserError(
        f"{path}: no format fits the columns {', '.join(fields[:12])}; rename columns, or set "
        "prepare.sources by hand (docs/formats.md shows the formats)"
    )


def _read_rows(path: Path) -> tuple[str, list[Row]]:
    """Return the encoding and the first rows of a file or folder."""
    if not path.is_dir() and not file_reading.is_readable(path.name):
        raise UserError(
            f"{path}: must end in {', '.join(file_reading.FILE_READERS)}, plain or with "
            f"{' or '.join(file_reading.COMPRESSIONS)}"
        )
    encoding = "utf-8"
    try:
        rows = _parse_rows(path, encoding)
    except UserError as error:
        if "not utf-8" not in error.message:
            raise
        from charset_normalizer import from_path

        best = from_path(_list_files(path)[0]).best()
        if best is None:
            raise
        encoding = best.encoding.replace("_", "-")
        rows = _parse_rows(path, encoding)
    if not rows:
        raise UserError(f"{path}: no row with columns; write a header and rows, or JSON objects")
    return encoding, rows


def _list_files(path: Path) -> list[Path]:
    return [file for _, file in file_reading.list_files(path.parent, path.name, Notes())]


def _parse_rows(path: Path, encoding: str) -> list[Row]:
    columns = Columns(required=(), used=())
    rows = chain.from_iterable(
        file_reading.read_rows(file, encoding, columns) for file in _list_files(path)
    )
    parsed = (parse_row(row) for _, row in islice(rows, MAX_ROWS))
    return [row for row in parsed if isinstance(row, dict)]


def _select_renamed(columns: dict[str, str]) -> dict[str, str]:
    """Return the fields whose column has another name, and those that settings must name."""
    fields = {field.removeprefix("plain_"): column for field, column in columns.items()}
    return {
        field: column
        for field, column in fields.items()
        if field != column or field in _NAMED_FIELDS
    }


def _find_texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _find_texts(child)


def _describe(
    format: str, columns: dict[str, str], encoding: str, rows: Sequence[Row], fields: list[str]
) -> SourceGuess:
    values = [" ".join(_find_texts(row)) for row in rows]
    lengths = [len(value) for value in values]
    label = columns.get("label") if format == "classification" else None
    labels = (
        Counter(str(column_values.find_value(row, label)) for row in rows) if label else Counter()
    )
    has_flags = format == "multi_label" and "labels" not in columns
    return SourceGuess(
        format=format,
        columns=_select_renamed(columns),
        label_columns=find_flag_columns(rows, columns.values()) if has_flags else [],
        encoding=encoding,
        rows=len(rows),
        fields=fields,
        labels=dict(labels.most_common()),
        languages=dict(Counter(map(language.detect_language, values)).most_common()),
        characters=(int(statistics.median(lengths)), max(lengths)),
    )
