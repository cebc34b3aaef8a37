"""Reading of all sources: rows become a table of records, on all processors."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lockstep.data import file_reading, ngrams, parallel, strict_json
from lockstep.data.cleaning import Cleaner, Role, Step, list_steps
from lockstep.data.file_reading import Columns, RawRow
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.record_table import RecordTable, TableBuilder, concatenate_tables
from lockstep.data.rejected_rows import InvalidRowError, RejectedRow
from lockstep.data.row_conversion import ConvertedRows, RowConverter
from lockstep.data.sources import Source
from lockstep.errors import UserError


def read_sources(root: Path, params: PrepareParams, seed: int) -> tuple[RecordTable, ConvertedRows]:
    """Return a table of the records of all sources, with the rejected rows and all counts.

    Raise UserError if a file is unreadable or if too many rows are rejected.
    """
    converters = [
        RowConverter(
            source,
            read_allowed_labels(root, source),
            Cleaner(_list_steps(source, params), params.boilerplate),
            params.quality,
            params.max_characters,
        )
        for source in params.sources
    ]
    labelled = params.labelled_sources
    builder = TableBuilder(
        seed=seed,
        threshold=params.duplicates.threshold,
        words=params.decontaminate.words,
        labelled_tasks=frozenset(source.task for source in labelled),
        with_answers="answer" in params.strata or any("task" in s.columns for s in labelled),
    )
    tables: list[RecordTable] = []
    total = ConvertedRows()
    with tqdm(desc="prepare", unit=" rows", disable=None, leave=False) as progress:
        for table, converted in _convert_chunks(root, converters, builder):
            tables.append(table)
            total.add(converted)
            progress.update(len(table) + len(converted.rejected))
    number = sum(map(len, tables)) + len(total.rejected)
    _check_rejected(total.rejected, number, params.max_rejected_fraction)
    return concatenate_tables(tables), total


def _list_steps(source: Source, params: PrepareParams) -> dict[Role, list[Step]]:
    """Return the cleaning steps of each role of a source."""
    return list_steps(params.clean if source.clean is None else source.clean, params.clean)


def read_source(root: Path, source: Source) -> Iterator[tuple[str, RawRow]]:
    """Yield (`file:line`, row) for each row of a source; raise UserError if there is none."""
    path = root / source.path
    columns = Columns(required=source.required_columns, used=source.used_columns)
    count = 0
    for place, row in file_reading.read_rows(path, source.encoding, columns):
        count += 1
        yield f"{source.path}:{place}", row
    if count == 0:
        raise UserError(f"{path}: no rows; remove it from prepare.sources or fill it")


def read_allowed_labels(root: Path, source: Source) -> frozenset[str] | None:
    """Return the labels that a source allows; None if it allows all."""
    if not source.labels:
        return None
    path = root / source.labels
    try:
        names = strict_json.parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{path}: {reason}; correct labels in prepare.sources") from None
    except (InvalidRowError, UnicodeDecodeError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: must be a JSON list of label names")
    return frozenset(names)


class _ChunkConverter:
    """Converts chunks of rows in worker processes, so it must be picklable."""

    def __init__(self, converters: list[RowConverter], builder: TableBuilder) -> None:
        self.converters, self.builder = converters, builder

    def __call__(
        self, chunk: tuple[int, list[tuple[str, RawRow]]]
    ) -> tuple[RecordTable, ConvertedRows]:
        """Return the table of a chunk (source index, rows), with rejected rows and counts."""
        index, rows = chunk
        converted = self.converters[index].convert(rows)
        return self.builder.build(converted.records), replace(converted, records=[])


def _convert_chunks(
    root: Path, converters: list[RowConverter], builder: TableBuilder
) -> Iterator[tuple[RecordTable, ConvertedRows]]:
    """Yield a table, rejected rows and counts for each chunk of the sources, in order."""
    ngrams.normalize_texts([])  # computes a table of characters once, not in each process
    chunks = (
        (index, chunk)
        for index, converter in enumerate(converters)
        for chunk in parallel.split_into_chunks(
            read_source(root, converter.source), _count_characters
        )
    )
    return parallel.map_chunks(_ChunkConverter(converters, builder), chunks)


def _count_characters(row: Any) -> int:
    """Return the number of characters of all strings in a row."""
    if isinstance(row, str):
        return len(row)
    if isinstance(row, dict):
        return sum(map(_count_characters, row.values()))
    return sum(map(_count_characters, row)) if isinstance(row, list | tuple) else 0


def _check_rejected(rejected: list[RejectedRow], number: int, max_fraction: float) -> None:
    """Raise UserError with ten rejected rows if too many of the `number` rows are rejected."""
    if len(rejected) > max_fraction * number:
        first = "\n".join(map(str, rejected[:10]))
        raise UserError(
            f"{len(rejected)} of {number} rows rejected, more than "
            f"prepare.max_rejected_fraction {max_fraction}; repair them or raise it:\n{first}"
        )
