"""Check that each split has records; an empty one is explained by the rows that were lost."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from lockstep.data.rejected_rows import RejectedRow
from lockstep.data.selection import RemovedRecord, Selection
from lockstep.data.source_report import SourceReport
from lockstep.data.splitting import PRIORITY, SPLITS
from lockstep.errors import UserError

MAX_REASONS = 3
"""Maximum number of reasons that a message names, the most frequent first."""


def check_splits(selection: Selection, reports: Sequence[SourceReport]) -> None:
    """Raise UserError if a split has no records.

    If most rows of its sources were rejected or removed, the message says why.
    """
    for name in SPLITS:
        if not len(selection.get_split_rows(name)):
            reason = _describe_losses(name, selection, reports) or _describe_group(selection)
            raise UserError(f"the {name} split is empty{reason}")


def _describe_group(selection: Selection) -> str:
    """Return the remedy, and whether most records are one group."""
    number = selection.largest_group_size
    is_majority = number * 2 > len(selection.rows)
    reason = f" ({number} records are one group)" if is_majority else ""
    return f"{reason}; correct prepare.split or add data"


def _describe_losses(name: str, selection: Selection, reports: Sequence[SourceReport]) -> str:
    """Say how many rows of a split's sources were lost; "" if they are fewer than half.

    Its sources are those with this split or, if there are none, those that are divided.
    """
    split = name if any(report.source.split == name for report in reports) else "auto"
    sources = [report for report in reports if report.source.split == split]
    count = sum(report.row_count for report in sources)
    rejected = [row for report in sources for row in report.rejected]
    removed = _list_removed(split, selection)
    if not count or (len(rejected) + len(removed)) * 2 < count:
        return ""
    parts = []
    if rejected:
        reasons = _count_reasons(row.reason for row in rejected)
        parts.append(
            f"{len(rejected)} of {count} rows rejected ({reasons}), e.g. {_choose_common(rejected)}"
        )
    if removed:
        reasons = _count_reasons(record.reason for record in removed)
        cause = f" because of {removed[0].because_of}" if removed[0].because_of else ""
        parts.append(
            f"{len(removed)} of {count} records removed ({reasons}), "
            f"e.g. {removed[0].origin}{cause}"
        )
    return f": {'; '.join(parts)}; correct these rows, or correct prepare.split or add data"


def _list_removed(split: str, selection: Selection) -> list[RemovedRecord]:
    """Return the removed records of the sources with this `split`."""
    rows = np.setdiff1d(np.arange(len(selection.table)), selection.rows)
    rows = rows[selection.source_splits[rows] == PRIORITY.index(split)]
    origins = {selection.table.load_record(row).origin for row in rows.tolist()}
    return [removed for removed in selection.removed if removed.origin in origins]


def _count_reasons(reasons: Iterable[str]) -> str:
    counts = Counter(reasons).most_common()
    more = [f"{len(counts) - MAX_REASONS} other reasons"] if len(counts) > MAX_REASONS else []
    return ", ".join([*(f"{reason} {n}" for reason, n in counts[:MAX_REASONS]), *more])


def _choose_common(rejected: Sequence[RejectedRow]) -> RejectedRow:
    """Return the first row that was rejected for the most frequent reason."""
    ((reason, _),) = Counter(row.reason for row in rejected).most_common(1)
    return next(row for row in rejected if row.reason == reason)
