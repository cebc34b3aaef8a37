"""Reading of all sources: rows become a table of records, on all processors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lockstep.data import file_reading, normalized_texts, parallel, source_report, strict_json
from lockstep.data.cleaning.cleaner import Cleaner, Role, Step, list_steps
from lockstep.data.file_reading import Notes, PlacedRows, RawRow
from lockstep.data.grades import Grades, average_entries, describe_grades, read_entries
from lockstep.data.label_studio import export_reading
from lockstep.data.prepare_params import PrepareParams
from lockstep.data.record_table import RecordTable, TableBuilder, concatenate_tables
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import (
    column_hints,
    column_names,
    column_values,
    row_joining,
    row_selection,
    turn_joining,
)
from lockstep.data.rows.converted_rows import ConvertedRows
from lockstep.data.rows.row_conversion import RowConverter
from lockstep.data.source_formats import BENCHMARK_FORMATS
from lockstep.data.source_report import SourceReport
from lockstep.data.sources import Source
from lockstep.data.span_annotations import span_rows
from lockstep.errors import UserError
from lockstep.hub import data_sets

FIRST_ROWS = 256
"""Number of rows of a source whose columns are checked before all rows are read."""


def read_sources(
    root: Path, params: PrepareParams, seed: int
) -> tuple[RecordTable, ConvertedRows, list[SourceReport]]:
    """Return a table of the records of all sources, with the rejected rows and all counts.

    Raise UserError if a file is unreadable, if a setting names a column that no row has, or if too
    many rows are rejected.
    """
    shared = _refuse_shared_files(root, params.sources)
    check_sources(root, params)
    entries = read_entries(root, params.quality.grades)
    grades = average_entries(entries)
    converters = [make_converter(root, source, params, grades) for source in params.sources]
    labelled = params.labelled_sources
    builder = TableBuilder(
        seed=seed,
        threshold=params.duplicates.threshold,
        words=params.decontaminate.words,
        labelled_tasks=frozenset(source.task for source in labelled),
        with_answers="answer" in params.strata or any(s.sets("task") for s in labelled),
        rated_sources=frozenset(s.name for s in params.sources if s.format == "regression"),
    )
    reports = [SourceReport(source) for source in params.sources]
    tables: list[RecordTable] = []
    total = ConvertedRows()
    chunks = _read_chunks(root, reports, seed, shared)
    with tqdm(desc="prepare", unit=" rows", disable=None, leave=False) as progress:
        for index, table, converted in _convert_chunks(chunks, converters, builder):
            tables.append(table)
            total.add(converted)
            reports[index].add(len(table), converted)
            progress.update(len(table) + len(converted.rejected))
    if entries:
        total.grades = describe_grades(entries, total.graded)
    source_report.check_reports(reports, params)
    return concatenate_tables(tables), total, reports


def make_converter(
    root: Path,
    source: Source,
    params: PrepareParams,
    grades: Grades,
    make_cleaner: Callable[[dict[Role, list[Step]], list[str]], Cleaner] = Cleaner,
) -> RowConverter:
    """Return the converter of a source; `make_cleaner` gets the steps and the boilerplate."""
    return RowConverter(
        span_rows.resolve_ends(source, _parse_first_rows(root, source)),
        read_allowed_labels(root, source),
        make_cleaner(list_source_steps(source, params), params.boilerplate),
        params.quality,
        params.max_characters,
        grades,
        params.mismatched_arguments,
    )


def list_source_steps(source: Source, params: PrepareParams) -> dict[Role, list[Step]]:
    """Return the cleaning steps of each role of a source; benchmarks stay as they are published."""
    default = [] if source.format in BENCHMARK_FORMATS else params.clean
    return list_steps(default if source.clean is None else source.clean, default)


def check_sources(root: Path, params: PrepareParams) -> None:
    """Raise UserError with the mistakes that the first rows of all sources show.

    A file is unreadable, all its first rows lack a column that each row needs, or it has unknown
    columns that `unknown_columns: refuse` does not allow.
    """
    mistakes = []
    for source in params.sources:
        try:
            read_allowed_labels(root, source)
            rows = [row for _, row in islice(read_source(root, source), FIRST_ROWS)]
        except UserError as error:
            mistakes.append(error.message)
        else:
            place = _describe_place(root, source)
            mistakes += _find_mistakes(place, rows, source, params.unknown_columns)
    if mistakes:
        raise UserError("\n".join(mistakes))


def _find_mistakes(
    place: str, rows: Sequence[RawRow], source: Source, unknown_columns: str
) -> Iterator[str]:
    """Yield a line for missing columns, and one for unknown columns if they are refused."""
    parsed = [row_selection.parse_row(row, source) or {} for row in rows]
    columns = column_hints.list_columns(parsed)
    names = [*source.needed_columns]
    if all(isinstance(row, dict) for row in rows):  # a table: all rows have all columns
        names += source.named_columns
    missing = column_names.find_missing_columns(columns, names)
    if missing and columns:
        line = column_names.describe_missing_columns(missing, columns, source, parsed)
        yield f"{place}: {line}"
    report = SourceReport(source, columns={*columns})
    if unknown_columns == "refuse" and report.unknown_columns:
        yield f"{report.describe_unknown_columns()}; {column_names.REMEDY}"


def _parse_first_rows(root: Path, source: Source) -> Iterator[dict[str, Any] | None]:
    for _, row in islice(read_source(root, source), FIRST_ROWS):
        yield row_selection.parse_row(row, source)


def read_source(root: Path, source: Source, notes: Notes | None = None) -> PlacedRows:
    """Yield (`file:line`, row) for each row of a source; raise UserError if there is none.

    `notes` receives the remarks of the readers.
    """
    count = 0
    notes = Notes() if notes is None else notes
    rows = row_joining.join_files(root, source, _read_files(root, source, notes), notes)
    if source.format == "label_studio":
        rows = export_reading.read_tasks(rows, source, _describe_place(root, source))
    elif source.format == "turns":
        rows = turn_joining.join_turns(rows, source, notes, Path(_describe_place(root, source)))
    for place, row in rows:
        count += 1
        yield place, row
    if count == 0:
        place = _describe_place(root, source)
        raise UserError(f"{place}: no rows; remove it from prepare.sources or fill it")


def _read_files(root: Path, source: Source, notes: Notes) -> PlacedRows:
    """Yield (`file:line`, row) for each row of the files of a source.

    If the source reads a part of a file, the part is named too (`file#rows:line`), since another
    source may read another part: two rows never have the same place.
    """
    part = "".join(f"#{part}" for part in (source.rows, source.sheet) if part)
    for name, path in _list_files(root, source, notes):
        rows = file_reading.read_rows(
            path, source.encoding, source.expected_columns, source.layout, notes
        )
        for place, row in rows:
            yield f"{name}{part}:{place}", row


def _list_files(root: Path, source: Source, notes: Notes) -> list[tuple[str, Path]]:
    """Return (name, path) of the files of a source; those of the hub are downloaded if needed."""
    if not source.hub:
        return file_reading.list_files(root, source.path, notes)
    return data_sets.resolve_data_set(
        source.hub, source.hub_config, source.hub_split, file_reading.is_data_file
    )


def _describe_place(root: Path, source: Source) -> str:
    return source.hub or str(root / source.path)


def _refuse_shared_files(root: Path, sources: Sequence[Source]) -> frozenset[str]:
    """Raise UserError if two sources read the same part of a file, e.g. by overlapping patterns.

    Return the names of the sources that have a `where` and share a file with another one, so that
    only the rows tell whether their parts overlap.
    """
    readers: dict[Path, list[Source]] = {}
    shared: set[str] = set()
    for source in sources:
        for name, path in _list_files(root, source, Notes()):
            for other in readers.setdefault(path, []):
                if not (source.reads_other_part(other) or source.reads_otherwise(other)):
                    raise UserError(
                        f"prepare.sources: {source.location} and {other.location} both read "
                        f"{name}; list each file once"
                    )
                shared |= {each.name for each in (source, other) if each.where}
            readers[path].append(source)
    return frozenset(shared)


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
    texts = [*map(column_values.write_text, names)] if isinstance(names, list) else [None]
    if None in texts:
        raise UserError(f"{path}: must be a JSON list of label names")
    return frozenset(text for text in texts if text is not None)


Chunk = tuple[int, list[tuple[str, RawRow]]]
"""The index of a source, and some of its rows."""


class _ChunkConverter:
    """Converts chunks of rows in worker processes, so it must be picklable."""

    def __init__(self, converters: list[RowConverter], builder: TableBuilder) -> None:
        self.converters, self.builder = converters, builder

    def __call__(self, chunk: Chunk) -> tuple[int, RecordTable, ConvertedRows]:
        """Return the source's index, the table of a chunk, and its rejected rows and counts."""
        index, rows = chunk
        converted = self.converters[index].convert(rows)
        return index, self.builder.build(converted.records), replace(converted, records=[])


def _convert_chunks(
    chunks: Iterator[Chunk], converters: list[RowConverter], builder: TableBuilder
) -> Iterator[tuple[int, RecordTable, ConvertedRows]]:
    """Yield the converter's result for each chunk, in order."""
    return parallel.map_chunks(
        _ChunkConverter(converters, builder), chunks, initialize=normalized_texts.prepare_table
    )


def _read_chunks(
    root: Path, reports: Iterable[SourceReport], seed: int, shared: frozenset[str]
) -> Iterator[Chunk]:
    """Yield the selected rows of all sources in chunks; count the others in the reports.

    `shared` names the sources whose parts of a file may overlap.
    """
    notes = Notes()
    readers: dict[str, tuple[Source, ...]] = {}
    for index, report in enumerate(reports):
        rows = row_selection.select_rows(read_source(root, report.source, notes), report, seed)
        if report.source.name in shared:
            rows = row_selection.refuse_shared_rows(rows, report, readers)
        for chunk in parallel.split_into_chunks(rows, _count_row_characters):
            yield index, chunk
    notes.echo()


def _count_row_characters(placed_row: tuple[str, RawRow]) -> int:
    """Return the number of characters of all strings in a row and its place."""
    place, row = placed_row
    return len(place) + (len(row) if isinstance(row, str) else _count_characters(row))


def _count_characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_count_characters, value.values()))
    return sum(map(_count_characters, value)) if isinstance(value, list | tuple) else 0
