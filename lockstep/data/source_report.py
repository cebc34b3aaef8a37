"""Counts and columns of each source, and the checks that follow from them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstep.data.prepare_params import PrepareParams
from lockstep.data.rejected_rows import RejectedRow
from lockstep.data.rows import column_names, row_notes
from lockstep.data.rows.converted_rows import ConvertedRows
from lockstep.data.sources import Source
from lockstep.errors import UserError

_UNLEARNT_ON_PURPOSE = frozenset([
    "annotation_not_accepted", "nothing_to_learn", "row_not_to_be_learnt", "weight_is_zero",
])  # fmt: skip
"""Reasons of rows that the file itself keeps from learning; they are no faults of the file."""


@dataclass(slots=True)
class SourceReport:
    """The rows of one source: how many were read, and which columns they have."""

    source: Source
    record_count: int = 0
    rejected: list[RejectedRow] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of rows that each of the settings `where` and `sample` leaves out."""
    columns: set[str] = field(default_factory=set)
    """Columns that at least one row has."""
    replaced: set[str] = field(default_factory=set)
    """Columns of the file whose values a constant of the source replaces."""
    noted: Counter[str] = field(default_factory=Counter)
    """Number of rows with each kind of note that became records."""
    first_noted: dict[str, str] = field(default_factory=dict)
    """Kind of a note -> place and content of the first one."""
    literals: Counter[str] = field(default_factory=Counter)
    """Number of cells of each column that are in Python's notation."""

    @property
    def row_count(self) -> int:
        """Number of rows that became records or were rejected."""
        return self.record_count + len(self.rejected)

    @property
    def unknown_columns(self) -> list[str]:
        """Columns that nothing reads."""
        return column_names.find_unknown_columns(self.columns, self.source)

    def add(self, record_count: int, converted: ConvertedRows) -> None:
        """Add the result of converting some rows."""
        self.record_count += record_count
        self.rejected += converted.rejected
        self.columns |= converted.columns
        self.replaced |= converted.replaced
        self.noted += converted.noted
        self.first_noted = converted.first_noted | self.first_noted
        self.literals += converted.literals

    def describe(self) -> dict[str, Any]:
        """Return the entry of the source in the data card."""
        return {
            "records": self.record_count,
            "rejected": len(self.rejected),
            "left_out": dict(self.left_out),
            "unknown_columns": self.unknown_columns,
            **({"noted": dict(sorted(self.noted.items()))} if self.noted else {}),
        }

    def describe_unknown_columns(self) -> str:
        """Return a line that names the unknown columns; "" if there is none."""
        if not self.unknown_columns:
            return ""
        line = column_names.describe_unknown_columns(
            self.unknown_columns, self.columns, self.source
        )
        return f"{self.source.name}: {line}"


def list_notes(reports: Sequence[SourceReport]) -> Iterator[str]:
    """Yield a line for the columns of each source that nothing reads, or that constants replace.

    Further lines count the rows that became records though something in them may be a mistake.
    Cells in Python's notation are counted in a line too.
    """
    for report in reports:
        if line := report.describe_unknown_columns():
            yield line
        if report.replaced:
            names = ", ".join(sorted(report.replaced))
            yield f"{report.source.name}: constants overwrite columns of the file: {names}"
        for kind, count in sorted(report.noted.items()):
            line = row_notes.describe_note(kind, count, report.first_noted[kind])
            yield f"{report.source.name}: {line}"
        for name, count in sorted(report.literals.items()):
            cells = f"{count} cells of {name}"
            yield f"{report.source.name}: {cells} are in Python's notation, not JSON"


def check_reports(reports: Sequence[SourceReport], params: PrepareParams) -> None:
    """Raise UserError with the mistakes of all sources.

    A source has too many rejected rows, no row, a setting with a column that no row has, or
    unknown columns that `unknown_columns: refuse` does not allow.
    """
    mistakes = [line for report in reports for line in _find_mistakes(report, params)]
    shared = [report for report in reports if report.source.max_rejected_fraction is None]
    mistakes += _find_too_many_rejected(
        [row for report in shared for row in report.rejected],
        sum(report.row_count for report in shared),
        params.max_rejected_fraction,
        "prepare.max_rejected_fraction",
    )
    if mistakes:
        raise UserError("\n".join(mistakes))


def _find_mistakes(report: SourceReport, params: PrepareParams) -> Iterator[str]:
    source = report.source
    missing = column_names.find_missing_columns(report.columns, source.named_columns)
    if report.row_count:  # the ends of paths are columns of the rows that were converted
        missing = [name for name in source.named_columns if name not in report.columns]
    if missing and report.columns:
        line = column_names.describe_missing_columns(missing, sorted(report.columns), source)
        yield f"{source.name}: {line}"
    elif report.row_count == 0:
        yield f"{source.name}: where and sample leave no row; correct them in prepare.sources"
    if params.unknown_columns == "refuse" and report.unknown_columns:
        yield f"{report.describe_unknown_columns()}; {column_names.REMEDY}"
    if source.max_rejected_fraction is not None:
        yield from _find_too_many_rejected(
            report.rejected,
            report.row_count,
            source.max_rejected_fraction,
            f"max_rejected_fraction of {source.name},",
        )


def _find_too_many_rejected(
    rejected: Sequence[RejectedRow], number: int, max_fraction: float, setting: str
) -> Iterator[str]:
    """Yield lines with ten faulty rows if too many of the `number` rows are rejected.

    Rows that the file keeps from learning count neither as rejected ones nor as rows.
    """
    faulty = [row for row in rejected if row.reason not in _UNLEARNT_ON_PURPOSE]
    number -= len(rejected) - len(faulty)
    if len(faulty) > max_fraction * number:
        yield (
            f"{len(faulty)} of {number} rows rejected, more than {setting} {max_fraction}; "
            "repair them or raise it:"
        )
        yield from map(str, faulty[:10])
