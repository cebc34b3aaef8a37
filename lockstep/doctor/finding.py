"""A line of `make doctor`: one thing that was checked, with the remedy if it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"
"""Levels of a finding: all is well; something works worse; something cannot work."""

SHOWN_NAMES = 5
"""Maximum number of names that a line lists."""


@dataclass(frozen=True)
class Finding:
    """The result of checking one subject."""

    level: str
    subject: str
    message: str
    remedy: str = ""
    """Action that cures it; empty if all is well."""

    def __str__(self) -> str:
        """Return the line: level, subject, message and remedy."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.level:<8} {self.subject:<9} {self.message}{remedy}"


def list_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(names[:SHOWN_NAMES])
    more = len(names) - SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
