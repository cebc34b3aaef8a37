"""The rows of a source that its settings `where`, `sample` and `limit` select."""

import heapq
import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from lockstep.data import strict_json
from lockstep.data.file_reading import PlacedRows, RawRow
from lockstep.data.files.json_rows import ARRAY_COLUMN
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows.column_values import MISSING, find_value
from lockstep.data.rows.filter_values import ConditionError
from lockstep.data.rows.row_filter import Condition
from lockstep.data.rows.row_templates import add_whole
from lockstep.data.source_report import SourceReport
from lockstep.data.sources import Source
from lockstep.data.splitting import hash_to_uniform
from lockstep.errors import UserError


def select_rows(rows: PlacedRows, report: SourceReport, seed: int) -> PlacedRows:
    """Yield the rows that a source selects; the report counts the others."""
    source = report.source
    if source.where:
        rows = _filter_rows(rows, report)
    if source.sample >= 1:
        rows = _choose_number(rows, int(source.sample), seed, report.left_out)
    elif source.sample:
        rows = _choose_share(rows, source.sample, seed, report.left_out)
    return islice(rows, source.limit) if source.limit else rows


def refuse_shared_rows(
    rows: PlacedRows, report: SourceReport, readers: dict[str, tuple[Source, ...]]
) -> PlacedRows:
    """Yield the rows; raise UserError for one that an earlier source reads too for the same task.

    `readers` maps the places of the rows so far to their sources. A row that is no JSON object,
    on which no condition can decide, belongs to the first source.
    """
    source = report.source
    for place, row in rows:
        earlier = readers.get(place, ())
        other = next((each for each in earlier if not each.reads_otherwise(source)), None)
        if other is None:
            readers[place] = (*earlier, source)
            yield place, row
        elif parse_row(row, source) is None:
            report.left_out["where"] += 1
        else:
            raise UserError(
                f"{place}: two sources read this row, by where: {other.where} and where: "
                f"{source.where}; make the conditions exclude each other in prepare.sources"
            )


def parse_row(row: RawRow, source: Source) -> dict[str, Any] | None:
    """Return the columns of a row with the constants of its source; None if it has none.

    A row that is no JSON object is left to the conversion, which rejects it with a reason.
    """
    try:
        value = strict_json.parse(row) if isinstance(row, str) else row
    except InvalidRowError:
        return None
    if source.format == "label_studio" and isinstance(value, dict):
        value = value.get("data", value)
    if not isinstance(value, dict):
        return None
    row = value | source.constants
    return add_whole(row) if ARRAY_COLUMN in source.columns.values() else row


def _filter_rows(rows: PlacedRows, report: SourceReport) -> PlacedRows:
    """Yield the rows that meet the condition; raise UserError if it does not fit the values."""
    condition = Condition(report.source.where)
    absent = {*condition.columns}
    for place, row in rows:
        columns = parse_row(row, report.source)
        if columns is None:
            yield place, row
            continue
        report.columns.update(columns)
        if absent:
            absent = {name for name in absent if find_value(columns, name) is MISSING}
            report.columns |= {*condition.columns} - absent
        try:
            if condition(columns):
                yield place, row
            else:
                report.left_out["where"] += 1
        except ConditionError as error:
            raise UserError(f"{place}: {error}; correct where in prepare.sources") from None


def _choose_share(rows: PlacedRows, share: float, seed: int, left_out: Counter[str]) -> PlacedRows:
    for place, row in rows:
        if _hash_row(row, seed) < share:
            yield place, row
        else:
            left_out["sample"] += 1


def _choose_number(rows: PlacedRows, number: int, seed: int, left_out: Counter[str]) -> PlacedRows:
    """Yield the rows with the smallest hashes, in the order of the file."""
    count = 0

    def add_keys() -> Iterator[tuple[float, int, tuple[str, RawRow]]]:
        nonlocal count
        for placed_row in rows:
            count += 1
            yield _hash_row(placed_row[1], seed), count, placed_row

    chosen = heapq.nsmallest(number, add_keys(), key=lambda item: item[:2])
    left_out["sample"] += count - len(chosen)
    yield from (placed_row for _, _, placed_row in sorted(chosen, key=lambda item: item[1]))


def _hash_row(row: RawRow, seed: int) -> float:
    """Return a number in [0, 1) that depends only on the content of a row and the seed."""
    if isinstance(row, InvalidRowError):
        text = row.row
    elif isinstance(row, str):
        text = row.strip()
    else:
        text = json.dumps(row, sort_keys=True, default=str)
    text = text.encode("utf-8", "backslashreplace").decode()
    return float(hash_to_uniform([f"{seed}/sample/{text}"])[0])
