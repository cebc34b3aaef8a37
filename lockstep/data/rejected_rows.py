"""Rows that cannot become records, each with its place and the reason."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MAX_SHOWN_CHARACTERS = 200
"""Maximum number of characters of a rejected row that are written to rejected.jsonl."""

_ESCAPE = re.compile(
    r"(?<!\\)\\u(?:d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|[0-9a-f]{4})", re.IGNORECASE
)
"""An escaped character in JSON text, perhaps as a pair of surrogates."""


_REMEDIES = {
    "byte_order_mark": "a byte order mark begins the line, as in files that were joined; remove it",
    "chosen_equals_rejected": "a preference needs two different answers; correct or remove it",
    "dialogue_not_turns": "the text of a dialogue must be a list of turns",
    "duplicate_keys": "a key stands twice in one object; remove or rename one of them",
    "empty_after_cleaning": "cleaning leaves no text; clean of the source sets other steps",
    "formula_without_value": "open the file in a spreadsheet program and save it, which computes "
    "the formula",
    "invalid_csv": "the quotes do not match; double a quote inside a quoted cell, or set quote: "
    "none if quotes are text",
    "invalid_json": "write one JSON value per line, or a .json file with a list of objects",
    "lone_surrogate": "a text has half of a character, as truncated text has; export it again",
    "missing_annotations": "it is no task of Label Studio; export as JSON or JSON-MIN",
    "missing_data": "the task has no object data; export as JSON or JSON-MIN",
    "nan_or_infinity": "JSON has no NaN and no Infinity; write null or a number",
    "nested_too_deeply": "lists and objects lie deeper in each other than rows may; flatten them",
    "not_annotated": "no annotator answered; annotate the task or leave it out of the export",
    "nul_character": "a text has the character NUL; remove it, or correct encoding if the file is "
    "UTF-16",
    "number_not_exact": "a float would change the number; write it as a string",
    "span_in_no_turn": "the bounds of a span are in no turn; was the dialogue changed?",
    "span_without_bounds": "a span needs whole numbers start and end",
    "span_without_label": "a span needs a label",
    "spreadsheet_error": "a cell shows an error; correct its formula",
    "tag_in_text": "the text has a tag with the name of a label; rename the label",
    "truncated_last_line": "the file ends within this row; download or export it again, or remove "
    "the line",
    "wrong_number_of_cells": "the row has more or fewer cells than the header",
}
"""Reason -> detail that leads to a fix, for reasons that say themselves what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """A row that could not become a record."""

    origin: str
    """Place of the row, `file:line`."""
    reason: str
    """Reason in snake_case, e.g. `missing_output`."""
    row: str
    """First characters of the row."""
    detail: str = ""
    """Sentence that says what was found and what would help; empty: the reason says it all."""

    def __str__(self) -> str:
        """Return place, reason and detail in one line."""
        return f"{self.origin}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


class InvalidRowError(Exception):
    """A row cannot become a record. The reason is in snake_case, e.g. `missing_output`."""

    def __init__(self, reason: str, row: str = "", *, detail: str = "") -> None:
        super().__init__(reason)
        self.row = row
        """Text of the row, if the reader could not return the row itself."""
        self.detail = _escape_surrogates(detail or _REMEDIES.get(reason, ""))
        """Sentence that says what was found and what would help."""


def shorten_row(row: Any) -> str:
    """Return the first characters of a row; escaped characters are shown as themselves.

    A lone surrogate stays escaped, since no encoding can write it.
    """
    if isinstance(row, str):
        text = _ESCAPE.sub(_unescape, row[: 6 * MAX_SHOWN_CHARACTERS])
    else:
        text = json.dumps(row, sort_keys=True, default=str, ensure_ascii=False)
    return _escape_surrogates(text[:MAX_SHOWN_CHARACTERS])


def show_value(value: Any, characters: int = 60) -> str:
    """Return a value as JSON of at most some characters, for the detail of a rejected row."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    shown = text if len(text) <= characters else f"{text[:characters]}…"
    return _escape_surrogates(shown)


def write_rejected(path: Path, rejected: Iterable[RejectedRow]) -> None:
    """Write rejected rows to a file, one JSON object per line."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rejected:
            values = {key: value for key, value in asdict(row).items() if key != "detail" or value}
            line = json.dumps(values, sort_keys=True, ensure_ascii=False)
            stream.write(_escape_surrogates(line) + "\n")


def _escape_surrogates(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _unescape(escape: re.Match[str]) -> str:
    """Return the character of a JSON escape if it is a visible one beyond ASCII."""
    character: str = json.loads(f'"{escape[0]}"')
    return character if character.isprintable() and not character.isascii() else escape[0]
