"""Join the rows of a source with further files: answers by id, and functions by class."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.data import file_reading, invalid_bytes
from lockstep.data.file_reading import Columns, Layout, Notes, PlacedRows
from lockstep.data.files.placed_rows import parse_object
from lockstep.data.rejected_rows import InvalidRowError, show_value
from lockstep.data.rows import row_fields
from lockstep.data.rows.row_fields import Row
from lockstep.data.sources import Source
from lockstep.errors import UserError


def join_files(root: Path, source: Source, rows: PlacedRows, notes: Notes) -> PlacedRows:
    """Yield the rows with what the source's `answers` and `functions` add to them.

    Answers that no row has are counted in a note. A row that cannot be joined becomes an error.
    """
    if not source.answers and not source.functions:
        yield from rows
        return
    answers = _read_answers(root, source, notes) if source.answers else {}
    functions = {
        name: [row for _, row in _read_objects(root, source, path, "name", notes)]
        for name, path in source.functions.items()
    }
    unused = {*answers}
    for place, raw_row in rows:
        row = parse_object(raw_row)
        if isinstance(row, dict):
            try:
                if source.answers:
                    row_id = _read_id(row, source)
                    unused.discard(row_id)
                    row = _add_answer(row, row_id, answers, source)
                row = _add_functions(row, functions, source)
            except InvalidRowError as invalid:
                error = invalid_bytes.explain_error(invalid, row, source.encoding)
                error.row = error.row or show_value(row, 200)
                yield place, error
                continue
        yield place, row
    if unused:
        notes.add(
            root / source.answers,
            f"no row of {source.location} has the id of {len(unused)} of {len(answers)} answers, "
            f"such as {min(unused)}",
        )


def _read_answers(root: Path, source: Source, notes: Notes) -> dict[str, Row]:
    """Return the row of each id; raise UserError if two rows have the same."""
    answers: dict[str, Row] = {}
    column = source.get_column("id")
    for place, row in _read_objects(root, source, source.answers, column, notes):
        try:
            row_id = _read_id(row, source)
        except InvalidRowError as invalid:
            error = invalid_bytes.explain_error(invalid, row, source.encoding)
            raise UserError(
                f"{root / source.answers}:{place}: {error}; each answer needs the column {column}"
            ) from None
        if row_id in answers:
            raise UserError(f"{root / source.answers}:{place}: two answers of {row_id}; remove one")
        answers[row_id] = row
    return answers


def _read_objects(
    root: Path, source: Source, path: str, column: str, notes: Notes
) -> Iterator[tuple[str, Row]]:
    """Yield the objects of a file, which have the column; raise UserError for another row."""
    columns = Columns(required=[column], used=[column])
    rows = file_reading.read_rows(root / path, source.encoding, columns, Layout(), notes)
    for place, raw_row in rows:
        row = parse_object(raw_row)
        if not isinstance(row, dict):
            raise UserError(f"{root / path}:{place}: not a JSON object; repair it")
        yield place, row


def _read_id(row: Row, source: Source) -> str:
    row_id = row_fields.get_slice_value(row, source.get_column("id"))
    if not row_id:
        raise InvalidRowError("missing_id", detail=f"the row has {', '.join(map(str, row))}")
    return row_id


def _add_answer(row: Row, row_id: str, answers: dict[str, Row], source: Source) -> Row:
    """Return the row with the columns of its answer."""
    if row_id not in answers:
        raise InvalidRowError(
            "id_without_answer", detail=f"{source.answers} has no answer of {row_id}"
        )
    answer = {**answers[row_id], source.get_column("id"): row[source.get_column("id")]}
    for name in answer:
        if name in row and row[name] != answer[name]:
            raise InvalidRowError(
                "two_values_of_column", detail=f"{name} differs in {source.answers}"
            )
    return row | answer


def _add_functions(row: Row, functions: dict[str, list[Row]], source: Source) -> Row:
    """Return the row with the functions of its classes, unless it has functions of its own."""
    column = source.get_column("function")
    if not functions or column in row:
        return row
    classes: Any = row_fields.get_required_field(row, source, "involved_classes")
    unknown = [name for name in classes if name not in functions]
    if unknown:
        raise InvalidRowError(
            "unknown_class", detail=f"functions of the source names no file of {unknown[0]}"
        )
    return {**row, column: [function for name in classes for function in functions[name]]}
