"""Recognize the format of a data file and the columns that the format needs."""

import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lockstep.data import file_reading, language
from lockstep.data.file_reading import Columns
from lockstep.data.label_studio import export_reading
from lockstep.errors import UserError

MAX_ROWS = 2000
"""Maximum number of rows that are inspected."""
MAX_LABELS = 200
"""Maximum number of different texts in a column of labels."""

Row = dict[str, Any]

SYNONYMS: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "utterance", "query", "question", "content", "review", "comment",
             "title", "body", "message", "input"),
    "plain_text": ("text", "content"),
    "label": ("label", "intent", "category", "class", "target", "topic", "sentiment", "tag"),
    "labels": ("labels", "tags", "categories", "topics", "label"),
    "value": ("value", "score", "rating", "stars", "target", "label", "number"),
    "messages": ("messages", "conversation", "dialogue", "dialog"),
    "conversations": ("conversations", "conversation"),
    "instruction": ("instruction",),
    "output": ("output", "response", "answer", "completion"),
    "prompt": ("prompt", "question", "instruction", "query", "input", "source"),
    "completion": ("completion", "response", "answer", "output", "target"),
    "chosen": ("chosen", "preferred", "accepted"),
    "rejected": ("rejected", "dispreferred"),
}  # fmt: skip
"""Field of a format -> names that public data sets give it, the most common first."""

OBJECTIVES = {
    "preference": "dpo",
    "unpaired_preference": "kto",
    "multi_label": "classification",
    "regression": "regression",
}
"""Format -> training objective; sft for all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceGuess:
    """Description of a data file."""

    format: str
    columns: dict[str, str]
    """Field of the format -> column of the file, where the names differ."""
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
    """Inspect the first rows of a file; raise UserError if no format fits."""
    encoding, rows = _read_rows(path)
    fields = list(dict.fromkeys(name for row in rows for name in row))
    for format, matches in FORMATS.items():
        columns = matches(rows)
        if columns is not None:
            return _describe(format, columns, encoding, rows, fields)
    raise UserError(
        f"{path}: no format fits the columns {', '.join(fields[:12])}; rename columns, or set "
        "prepare.sources by hand (docs/data.md shows the formats)"
    )


def _read_rows(path: Path) -> tuple[str, list[Row]]:
    """Return the encoding and the first rows of a file."""
    if not file_reading.is_readable(path.name):
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

        best = from_path(path).best()
        if best is None:
            raise
        encoding = best.encoding.replace("_", "-")
        rows = _parse_rows(path, encoding)
    if not rows:
        raise UserError(f"{path}: no row with columns; write a header and rows, or JSON objects")
    return encoding, rows


def _parse_rows(path: Path, encoding: str) -> list[Row]:
    rows = file_reading.read_rows(path, encoding, Columns(required=(), used=()))
    parsed = (_parse_row(row) for _, row in islice(rows, MAX_ROWS))
    return [row for row in parsed if isinstance(row, dict)]


def _parse_row(row: Any) -> Any:
    if not isinstance(row, str):
        return row
    try:
        return json.loads(row)
    except ValueError:
        return None


def _find_column(rows: Sequence[Row], field: str, accepts: Callable[[Any], bool]) -> str | None:
    """Return the first column named like a field whose values are all acceptable or missing."""
    columns = {name.lower(): name for row in rows for name in row}
    for name in SYNONYMS[field]:
        column = columns.get(name)
        values = (
            [row[column] for row in rows if row.get(column) not in (None, "")] if column else []
        )
        if values and sum(map(accepts, values)) >= 0.98 * len(values):
            return column
    return None


def _find_columns(rows: Sequence[Row], **fields: Callable[[Any], bool]) -> dict[str, str] | None:
    """Return {field: column} if every field has a different column, otherwise None."""
    columns: dict[str, str] = {}
    for field, accepts in fields.items():
        column = _find_column(rows, field, accepts)
        if column is None or column in columns.values():
            return None
        columns[field] = column
    return columns


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_turns(value: Any) -> bool:
    return isinstance(value, str | list)


def _is_turn_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(turn, dict) for turn in value)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or str(value).strip().lower() in ("true", "false")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_label_list(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("["):
        value = _parse_row(value)
    return isinstance(value, list) and all(isinstance(label, str) for label in value)


def _match_preference(rows: Sequence[Row]) -> dict[str, str] | None:
    pair = _find_columns(rows, chosen=_is_text_or_turns, rejected=_is_text_or_turns)
    if pair is None:
        return None
    prompt = _find_column(rows, "prompt", _is_text_or_turns)
    return {**({"prompt": prompt} if prompt else {}), **pair}


def _match_unpaired_preference(rows: Sequence[Row]) -> dict[str, str] | None:
    label = _find_column(rows, "label", _is_boolean)
    if label is None:
        return None
    messages = _find_columns(rows, messages=_is_turn_list)
    texts = messages or _find_columns(rows, prompt=_is_text_or_turns, completion=_is_text_or_turns)
    return None if texts is None else {**texts, "label": label}


def _match_conversation(rows: Sequence[Row], field: str) -> dict[str, str] | None:
    """Return the column of conversations; None if other columns hold a preference pair."""
    if any(_find_column(rows, name, lambda value: True) for name in ("chosen", "rejected")):
        return None
    return _find_columns(rows, **{field: _is_turn_list})


def _match_classification(rows: Sequence[Row]) -> dict[str, str] | None:
    columns = _find_columns(rows, text=_is_text, label=_is_text)
    if columns is None:
        return None
    labels = {row.get(columns["label"]) for row in rows}
    return columns if len(labels) <= min(MAX_LABELS, max(2, len(rows) // 2)) else None


FORMATS: dict[str, Callable[[Sequence[Row]], dict[str, str] | None]] = {
    "label_studio": export_reading.guess_columns,
    "preference": _match_preference,
    "unpaired_preference": _match_unpaired_preference,
    "messages": lambda rows: _match_conversation(rows, "messages"),
    "sharegpt": lambda rows: _match_conversation(rows, "conversations"),
    "alpaca": lambda rows: _find_columns(rows, instruction=_is_text, output=_is_text),
    "multi_label": lambda rows: _find_columns(rows, text=_is_text, labels=_is_label_list),
    "regression": lambda rows: _find_columns(rows, text=_is_text, value=_is_number),
    "classification": _match_classification,
    "prompt_completion": lambda rows: _find_columns(
        rows, prompt=_is_text_or_turns, completion=_is_text_or_turns
    ),
    "text": lambda rows: _find_columns(rows, plain_text=_is_text),
}
"""Format -> function that returns its columns, or None if it does not fit; the first fit counts."""


def _select_renamed(columns: dict[str, str]) -> dict[str, str]:
    """Return the fields whose column has another name."""
    fields = {field.removeprefix("plain_"): column for field, column in columns.items()}
    return {field: column for field, column in fields.items() if field != column}


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
    labels = Counter(str(row.get(label)) for row in rows) if label else Counter()
    return SourceGuess(
        format=format,
        columns=_select_renamed(columns),
        encoding=encoding,
        rows=len(rows),
        fields=fields,
        labels=dict(labels.most_common()),
        languages=dict(Counter(map(language.detect_language, values)).most_common()),
        characters=(int(statistics.median(lengths)), max(lengths)),
    )
