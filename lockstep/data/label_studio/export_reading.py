"""Read exports of Label Studio (JSON, JSON-MIN, CSV): each task with the votes on one control."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lockstep.data.file_reading import RawRow
from lockstep.data.files.placed_rows import parse_object
from lockstep.data.label_studio import controls, minimal_rows
from lockstep.data.label_studio.answer_reading import AnswerReader, PlacedRows
from lockstep.data.label_studio.controls import (
    TYPES_BY_KEY,
    Annotation,
    Control,
    ExportedTask,
)
from lockstep.data.rejected_rows import InvalidRowError, shorten_row
from lockstep.data.sources import Source
from lockstep.errors import UserError

SKIPPED = ("was_cancelled", "skipped")
"""Keys that mark an annotation as skipped, in new and in old exports."""


def read_tasks(rows: Iterable[tuple[str, RawRow]], source: Source, place: str) -> PlacedRows:
    """Yield the tasks of an export, each with the votes of its annotators on the source's control.

    A task is {id, data, text, reading, votes}, and left and right for a comparison. Rows that are
    no tasks are yielded as they are. `place` names the export in a UserError, which is raised if
    the control is ambiguous or cannot be read, or if no task has the source's columns.
    """
    parsed = [(origin, parse_object(row)) for origin, row in rows]
    entries: list[tuple[str, ExportedTask | RawRow]]
    if any(minimal_rows.is_minimal(row) for _, row in parsed):
        entries, types = minimal_rows.group_rows(parsed, source, place)
    else:
        entries = [(origin, _read_task(row, origin)) for origin, row in parsed]
        types = _find_types(row for _, row in parsed if isinstance(row, dict))
    tasks = [entry for _, entry in entries if isinstance(entry, ExportedTask)]
    if "relation" in types.values():
        _refuse_relations(types, source, place)
    types = {name: kind for name, kind in types.items() if kind != "relation"}
    control = controls.choose_control(tasks, types, source, place)
    _check_columns(tasks, control, source, place)
    for origin, entry in entries:
        if not isinstance(entry, ExportedTask):
            yield origin, entry
        elif control is None:
            yield origin, {"data": entry.data, "votes": []}
        else:
            yield from AnswerReader(control, source).read(origin, entry)


def guess_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """Return the column of the text if all rows are tasks or annotations of an export, or None.

    It is `text`, or else the first one that holds a text or a dialogue.
    """
    if all("annotation_id" in row and "annotator" in row for row in rows):
        own: Mapping[str, Any] = rows[0]
        data = {name: own[name] for name in own if name not in minimal_rows.OWN_COLUMNS}
    elif all(_list_annotations(r) is not None and isinstance(r.get("data"), dict) for r in rows):
        data = rows[0]["data"]
    else:
        return None
    texts = [name for name, value in data.items() if _is_text_or_dialogue(value)]
    return {"text": "text" if "text" in texts else texts[0]} if texts else None


def _is_text_or_dialogue(value: Any) -> bool:
    if isinstance(value, list) and value:
        answer_keys = TYPES_BY_KEY.keys() - {"text"}  # turns have a text too
        return all(isinstance(turn, dict) and answer_keys.isdisjoint(turn) for turn in value)
    return isinstance(value, str) and bool(value.strip()) and not value.startswith('[{"')


def _list_annotations(row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the submitted annotations, which old exports call completions; None if it has none."""
    annotations = row.get("annotations", row.get("completions"))
    if not isinstance(annotations, list):
        return None
    return [
        annotation
        for annotation in annotations
        if isinstance(annotation, dict) and not any(map(annotation.get, SKIPPED))
    ]


def _list_results(annotation: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the name of the control, the type and the value of each result."""
    results = annotation.get("result")
    for result in results if isinstance(results, list) else []:
        if not isinstance(result, dict):
            continue
        if result.get("type") == "relation":
            yield "relation", "relation", {}
        value = result.get("value")
        if isinstance(value, dict):
            kind = controls.find_type(result.get("type"), value)
            yield str(result.get("from_name") or kind), kind, value


def _find_types(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the type of each control that somebody answered."""
    return {
        name: kind
        for row in rows
        for annotation in _list_annotations(row) or []
        for name, kind, _ in _list_results(annotation)
    }


def _read_task(row: RawRow, origin: str) -> ExportedTask | RawRow:
    """Return the task in a row; only the latest annotation of each annotator counts."""
    if not isinstance(row, dict):
        return row
    annotations = _list_annotations(row)
    if annotations is None:
        return InvalidRowError(
            "missing_annotations",
            shorten_row(row),
            detail="it has neither annotations nor annotation_id; export as JSON or JSON-MIN",
        )
    if not isinstance(row.get("data"), dict):
        return InvalidRowError("missing_data", shorten_row(row))
    latest: dict[str, Annotation] = {}
    for index, annotation in enumerate(sorted(annotations, key=_get_time)):
        who = annotation.get("completed_by", annotation.get("id", f"annotation {index}"))
        if isinstance(who, dict):
            who = who.get("id", who.get("email"))
        results: dict[str, list[dict[str, Any]]] = {}
        for name, _, value in _list_results(annotation):
            results.setdefault(name, []).append(value)
        is_true = annotation.get("ground_truth") is True
        latest[str(who)] = Annotation(str(who), is_true, results)
    return ExportedTask(str(row.get("id", origin)), row["data"], [*latest.values()])


def _get_time(annotation: Mapping[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _refuse_relations(types: Mapping[str, str], source: Source, place: str) -> None:
    """Raise UserError for relations between spans, unless the source names a control."""
    names = [name for name, kind in types.items() if controls.KINDS.get(kind) == "spans"]
    if not source.control:
        raise UserError(
            f"{place}: the annotations hold relations between spans, which are not read; set "
            f"control to {' or '.join(names) or 'a control'} to read it without them"
        )


def _check_columns(
    tasks: Sequence[ExportedTask], control: Control | None, source: Source, place: str
) -> None:
    """Raise UserError if no task has the text, or the sides of a comparison."""
    data = {name: None for task in tasks for name in task.data}
    names = ["text", "left", "right"] if control and control.kind == "pairwise" else ["text"]
    missing = [
        name for name in names if source.get_column(name) not in {**data, **source.constants}
    ]
    if missing and tasks:
        raise UserError(
            f"{place}: the tasks have no {' and '.join(map(source.get_column, missing))} but "
            f"{', '.join(data)}; name the right ones in columns, e.g. "
            f"{{{', '.join(f'{name}: …' for name in missing)}}}"
        )
