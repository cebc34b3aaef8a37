"""Rows that are no records: where each stands, why, and what it was."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SHOWN = 200
"""Characters of a rejected row that are kept, for the person who repairs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row that is no record."""

    origin: str
    """file:line."""
    reason: str
    """A snake_case word."""
    row: str
    """Its first characters."""


class UnfitError(Exception):
    """The reason, a snake_case word, why a row is no record."""

    def __init__(self, reason: str, row: str = "") -> None:
        super().__init__(reason)
        self.row = row
        """The row itself, where nobody else has it."""


def shown(row: Any) -> str:
    """The first characters of a row, escaped where it is not ASCII."""
    text = row if isinstance(row, str) else json.dumps(row, sort_keys=True, default=str)
    return text.encode("ascii", "backslashreplace").decode()[:SHOWN]


def write(path: Path, rejected: Iterable[Rejected]) -> None:
    """One JSON line for each rejected row."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rejected:
            stream.write(json.dumps(asdict(row), sort_keys=True) + "\n")
