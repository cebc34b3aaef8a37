"""Rows that cannot become records, each with its place and the reason."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MAX_SHOWN_CHARACTERS = 200
"""Maximum number of characters of a rejected row that are written to rejected.jsonl."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """A row that could not become a record."""

    origin: str
    """Place of the row, `file:line`."""
    reason: str
    """Reason in snake_case, e.g. `missing_output`."""
    row: str
    """First characters of the row."""


class InvalidRowError(Exception):
    """A row cannot become a record. The reason is in snake_case, e.g. `missing_output`."""

    def __init__(self, reason: str, row: str = "") -> None:
        super().__init__(reason)
        self.row = row
        """Text of the row, if the reader could not return the row itself."""


def shorten_row(row: Any) -> str:
    """Return the first characters of a row, with non-ASCII characters escaped."""
    text = row if isinstance(row, str) else json.dumps(row, sort_keys=True, default=str)
    return text.encode("ascii", "backslashreplace").decode()[:MAX_SHOWN_CHARACTERS]


def write_rejected(path: Path, rejected: Iterable[RejectedRow]) -> None:
    """Write rejected rows to a file, one JSON object per line."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rejected:
            stream.write(json.dumps(asdict(row), sort_keys=True) + "\n")
