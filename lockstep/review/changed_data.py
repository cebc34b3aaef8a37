"""Differences of two commits in the data: source files, sizes of splits, and single rows."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep import records
from lockstep.errors import UserError
from lockstep.review.outputs_of_commit import open_output
from lockstep.review.snapshot import Snapshot, list_changed_lines
from lockstep.statistics.details import Metrics
from lockstep.statistics.record_scores import StoredScores

SPLITS = ("train", "validation", "test")
MAX_BYTES = 64_000_000
"""Maximum size of the prepared data that is compared row by row."""
PREPARED = "data/prepared"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChange:
    """A number of records on both sides."""

    split: str
    kind: str
    """Subject of the count: records, task, or the name of a slice."""
    value: str
    base: int
    this: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanges:
    """Rows of a split that differ, counted by task and slice."""

    split: str
    added: int
    removed: int
    relabelled: int
    """Rows with the same prompt and another answer."""
    by_slice: dict[str, tuple[int, int, int]]
    """`slice value` or `task value` -> (added, removed, relabelled)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChanges:
    """Everything that is known about changed data."""

    is_same: bool
    """Whether the prepared data has the same hash on both sides."""
    sources: list[tuple[str, int, int]]
    """(file in data/raw, lines added, lines removed); -1 for a binary file."""
    counts: list[CountChange]
    tests: tuple[int, int, int] | None
    """Test records that are (added, removed, in common); None without scores of both sides."""
    rows: list[RowChanges]
    not_compared: str
    """Reason why rows were not compared one by one; "" if they were."""


def compare_data(
    base: Snapshot,
    this: Snapshot,
    details: tuple[Metrics, Metrics],
    scores: tuple[StoredScores, StoredScores],
) -> DataChanges:
    """Compare the data of two sides; `details` and `scores` are those of base and this."""
    entries = [_find_prepared(side) for side in (base, this)]
    is_same = bool(entries[0]) and entries[0].get("md5") == entries[1].get("md5")
    rows, reason = ([], "") if is_same else _compare_prepared(base, this, entries)
    sources = list_changed_lines(this.root, base.commit or "HEAD", "data/raw")
    return DataChanges(
        is_same=is_same,
        sources=list(sources),
        counts=[] if is_same else list(_compare_counts(*details)),
        tests=_compare_tests(*scores),
        rows=rows,
        not_compared=reason,
    )


def compare_rows(split: str, base: Iterable[str], this: Iterable[str]) -> RowChanges:
    """Compare the records of a split, given as JSON lines.

    A removed and an added record of one prompt are one relabelled record.
    """
    old, new = _index_records(base), _index_records(this)
    totals: Counter[str] = Counter()
    by_slice: dict[str, Counter[str]] = {}
    for prompt in [*old, *(prompt for prompt in new if prompt not in old)]:
        before, after = old.get(prompt, {}), new.get(prompt, {})
        gone = [before[key] for key in before if key not in after]
        come = [after[key] for key in after if key not in before]
        relabelled = min(len(gone), len(come))
        changes = (
            ("relabelled", come[:relabelled]),
            ("added", come[relabelled:]),
            ("removed", gone[relabelled:]),
        )
        for kind, slices in changes:
            totals[kind] += len(slices)
            for names in slices:
                for name in names:
                    by_slice.setdefault(name, Counter())[kind] += 1
    return RowChanges(
        split=split,
        added=totals["added"],
        removed=totals["removed"],
        relabelled=totals["relabelled"],
        by_slice={
            name: (counts["added"], counts["removed"], counts["relabelled"])
            for name, counts in sorted(by_slice.items())
        },
    )


def _index_records(lines: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return {prompt: {id: [task and slices]}}."""
    index: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        record = records.load(line.encode())
        prompt = json.dumps([record.task, record.prompt], ensure_ascii=False, default=str)
        names = [f"task {record.task}", *(f"{k} {value}" for k, value in record.slices.items())]
        index.setdefault(prompt, {})[record.id] = names
    return index


def _find_prepared(side: Snapshot) -> dict[str, Any]:
    """Return the entry of the prepared data in dvc.lock; {} if there is none."""
    outs = side.read_lock().get("prepare", {}).get("outs", [])
    return next((out for out in outs if out["path"] == PREPARED), {})


def _compare_prepared(
    base: Snapshot, this: Snapshot, entries: list[dict[str, Any]]
) -> tuple[list[RowChanges], str]:
    """Return the changes of each split, or the reason why there are none."""
    size = sum(entry.get("size", 0) for entry in entries)
    if size > MAX_BYTES:
        return (
            [],
            f"the prepared data has {size / 1e6:,.0f} MB, more than {MAX_BYTES / 1e6:,.0f} MB",
        )
    rows = []
    try:
        for split in SPLITS:
            path = f"{PREPARED}/{split}.jsonl"
            with open_output(base, path) as before, open_output(this, path) as after:
                rows.append(compare_rows(split, before, after))
    except UserError as error:
        return [], error.message
    except (KeyError, TypeError, ValueError) as error:  # other code may have written the base
        return [], f"{path} has other fields than here ({type(error).__name__}: {error})"
    return [row for row in rows if row.added or row.removed or row.relabelled], ""


def _compare_counts(base: Metrics, this: Metrics) -> Iterator[CountChange]:
    old, new = (side.get("data", {}).get("splits", {}) for side in (base, this))
    for split in SPLITS if old and new else ():
        before, after = _list_counts(old.get(split, {})), _list_counts(new.get(split, {}))
        for kind, value in dict.fromkeys([*after, *before]):
            counts = before.get((kind, value), 0), after.get((kind, value), 0)
            if counts[0] != counts[1]:
                yield CountChange(
                    split=split, kind=kind, value=value, base=counts[0], this=counts[1]
                )


def _list_counts(split: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Return {(kind, value): records} of a split."""
    groups = {"task": split.get("tasks", {}), **split.get("slices", {})}
    counts = {(kind, value): n for kind, part in groups.items() for value, n in part.items()}
    return {("records", ""): split.get("records", 0), **counts}


def _compare_tests(base: StoredScores, this: StoredScores) -> tuple[int, int, int] | None:
    old, new = (
        {
            (task, r.id)
            for task, suite in side.suites.items()
            for r in suite.records.get("merged", [])
        }
        for side in (base, this)
    )
    if not old or not new:
        return None
    return len(new - old), len(old - new), len(new & old)
