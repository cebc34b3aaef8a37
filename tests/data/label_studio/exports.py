"""Exports of Label Studio in this folder, read as a source."""

import json
from pathlib import Path
from typing import Any

from lockstep.data import source_reading
from lockstep.data.label_studio import voting
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.sources import Source

FOLDER = Path(__file__).parent
SIDES = {"text": "question", "left": "reply_one", "right": "reply_two"}
"""Columns of the export `pairwise`."""


def read_answers(file: str, folder: Path = FOLDER, **settings: Any) -> list[str]:
    """Return the answer to each task, both texts of a comparison, or the reason of rejection."""
    return [
        " > ".join(row[name] for name in (voting.ANSWER, voting.REJECTED) if name in row)
        if isinstance(row, dict)
        else str(row)
        for row in read_merged_rows(file, folder, **settings)
    ]


def read_merged_rows(
    file: str, folder: Path = FOLDER, **settings: Any
) -> list[dict[str, Any] | InvalidRowError]:
    """Return each task's row with its answer, or the error for which it is rejected."""
    source = Source(path=file, format="label_studio", **settings)
    return [_merge(row) for _, row in source_reading.read_source(folder, source)]


def read_votes(file: str, folder: Path = FOLDER, **settings: Any) -> list[voting.Vote]:
    """Return the votes of all tasks."""
    source = Source(path=file, format="label_studio", **settings)
    rows = source_reading.read_source(folder, source)
    return [vote for _, row in rows for vote in voting.read_votes(row)]


def write_export(folder: Path, *tasks: Any) -> str:
    """Write an export and return its name."""
    (folder / "own.json").write_text(json.dumps(tasks), encoding="utf-8")
    return "own.json"


def make_task(*annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    """Return a task with these annotations, by annotators 1, 2 … unless they say otherwise."""
    numbered = [{"completed_by": number, **a} for number, a in enumerate(annotations, 1)]
    return {"id": 7, "data": data or {"text": "Where is it?"}, "annotations": numbered}


def make_result(value: dict[str, Any], kind: str, name: str = "label") -> dict[str, Any]:
    """Return a result of an annotation."""
    return {"from_name": name, "to_name": "text", "type": kind, "value": value}


def choose(*choices: str, **settings: Any) -> dict[str, Any]:
    """Return an annotation with these choices."""
    return {"result": [make_result({"choices": [*choices]}, "choices")], **settings}


def _merge(row: Any) -> dict[str, Any] | InvalidRowError:
    try:
        if isinstance(row, InvalidRowError):
            raise row
        return voting.merge_votes(row, voting.read_votes(row))
    except InvalidRowError as error:
        return error
