"""The result of converting rows: records, rejected rows, and counts for the data card."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.data.label_studio.voting import Vote
from lockstep.data.rejected_rows import RejectedRow
from lockstep.records import Record


@dataclass(slots=True)
class ConvertedRows:
    """The result of converting some rows."""

    records: list[Record] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    cleaned: Counter[str] = field(default_factory=Counter)
    """Number of records that each cleaning step changed."""
    faults: Counter[str] = field(default_factory=Counter)
    """Number of records in which each quality signal found a fault."""
    shortened: int = 0
    """Number of records without the turns after the last one that may be learnt."""
    grades: dict[str, Any] = field(default_factory=dict)
    """Summary of the grades of all records, once all rows are converted."""
    graded: set[str] = field(default_factory=set)
    """Item codes of the records that people graded."""
    votes: list[tuple[str, Vote]] = field(default_factory=list)
    """Answers of annotators, each with the name of its source."""
    columns: set[str] = field(default_factory=set)
    """Columns that at least one row has."""
    replaced: set[str] = field(default_factory=set)
    """Columns of the file whose values a constant of the source replaces."""
    noted: Counter[str] = field(default_factory=Counter)
    """Number of rows that became records with something to note, by its kind (`row_notes`)."""
    first_noted: dict[str, str] = field(default_factory=dict)
    """Kind of a note -> place and content of the first one."""
    literals: Counter[str] = field(default_factory=Counter)
    """Number of cells of each column that are in Python's notation."""

    def add(self, other: "ConvertedRows") -> None:
        """Add the result of other rows."""
        self.records += other.records
        self.rejected += other.rejected
        self.cleaned += other.cleaned
        self.faults += other.faults
        self.shortened += other.shortened
        self.graded |= other.graded
        self.votes += other.votes
        self.columns |= other.columns
        self.replaced |= other.replaced
        self.noted += other.noted
        self.first_noted = other.first_noted | self.first_noted
        self.literals += other.literals

    def note(self, origin: str, found: Mapping[str, str]) -> None:
        """Count each kind of note of a row; keep the place and the content of the first one."""
        for kind, detail in found.items():
            self.noted[kind] += 1
            self.first_noted.setdefault(kind, f"{origin}: {detail}")
