"""Rows of JSON-MIN and CSV exports: one for each annotation, in which controls look like data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from lockstep.data.file_reading import RawRow
from lockstep.data.label_studio import controls
from lockstep.data.label_studio.controls import Annotation, ExportedTask
from lockstep.data.sources import Source
from lockstep.errors import UserError

OWN_COLUMNS = (
    "id",
    "annotator",
    "annotation_id",
    "completion_id",
    "created_at",
    "updated_at",
    "lead_time",
    "agreement",
)
"""Columns that Label Studio adds."""


def is_minimal(row: RawRow) -> bool:
    """Whether a row is an annotation of JSON-MIN or CSV."""
    return (
        isinstance(row, dict)
        and not {"annotation_id", "annotator", "completion_id"}.isdisjoint(row)
        and not isinstance(row.get("data"), dict)
    )


def group_rows(
    rows: Sequence[tuple[str, RawRow]], source: Source, place: str
) -> tuple[list[tuple[str, ExportedTask | RawRow]], dict[str, str]]:
    """Return the tasks, each with the annotations of all its rows, and the type of the control.

    All columns but those that the source names may be controls. Raise UserError if the control is
    not among them, or if the source names none and there are several.
    """
    minimal = [row for _, row in rows if isinstance(row, dict) and is_minimal(row)]
    candidates = _find_candidates(minimal, source)
    name = source.control or (next(iter(candidates)) if len(candidates) == 1 else "")
    if name not in candidates:
        problem = (
            f"no control {name}" if name else "JSON-MIN and CSV do not tell controls from data"
        )
        names = [
            column if kind == "choices" else f"{column} ({kind})"
            for column, kind in sorted(candidates.items())
        ]
        raise UserError(f"{place}: {problem}; set control to one of: {', '.join(names) or 'none'}")
    tasks: dict[tuple[str, str], ExportedTask] = {}
    times: dict[tuple[str, str, str], str] = {}
    entries: list[tuple[str, ExportedTask | RawRow]] = []
    for origin, row in rows:
        if not isinstance(row, dict) or not is_minimal(row):
            entries.append((origin, row))
            continue
        key = str(row.get("id", origin)), str(row.get(source.get_column("text")))
        if key not in tasks:
            tasks[key] = ExportedTask(key[0], _get_data(row, name, source), [])
            entries.append((origin, tasks[key]))
        annotator = str(row.get("annotator") or row.get("annotation_id"))
        results = {name: _list_values(row.get(name))} if row.get(name) not in (None, "") else {}
        time = str(row.get("updated_at") or "")
        if time >= times.get((*key, annotator), ""):  # only the latest one of an annotator counts
            times[*key, annotator] = time
            others = [other for other in tasks[key].annotations if other.annotator != annotator]
            tasks[key].annotations = [*others, Annotation(annotator, False, results)]
    return entries, {name: candidates[name]}


def _find_candidates(rows: Iterable[Mapping[str, Any]], source: Source) -> dict[str, str]:
    """Return the type of each column that may be a control."""
    named = {*source.used_columns, *source.constants, *OWN_COLUMNS} - {source.control}
    types: dict[str, str] = {}
    for row in rows:
        for column, cell in row.items():
            if column not in named and cell not in (None, ""):
                for value in _list_values(cell):
                    kind = controls.find_type("", value)
                    is_text = "textarea" in (kind, types.get(column))
                    types[column] = "textarea" if is_text else kind
    return types


def _get_data(row: Mapping[str, Any], control: str, source: Source) -> dict[str, Any]:
    """Return the columns but the control and those that Label Studio adds and the source ignores.

    A dialogue in a cell of CSV is parsed.
    """
    left_out = {control, *OWN_COLUMNS} - {*source.used_columns}
    data = {name: value for name, value in row.items() if name not in left_out}
    column = source.get_column("text")
    text = data.get(column)
    if isinstance(text, str) and text.startswith('[{"'):
        data[column] = _parse_cell(text)
    return data


def _list_values(cell: Any) -> list[dict[str, Any]]:
    """Return the values of a control's results; a single text stands for a choice."""
    cell = _parse_cell(cell)
    values = cell if isinstance(cell, list) else [cell]
    return [
        value if isinstance(value, dict) else {"choices": [str(value)]}
        for value in values
        if value not in (None, "")
    ]


def _parse_cell(cell: Any) -> Any:
    """Return the value in a cell of CSV, which is JSON if it is a list or an object."""
    if not isinstance(cell, str) or not cell.startswith(('[{"', '{"', '["')):
        return cell
    try:
        return orjson.loads(cell)
    except ValueError:
        return cell
