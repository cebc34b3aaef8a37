"""Answers that people gave in Label Studio, read from the exports of projects of `make harvest`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lockstep.data import source_reading
from lockstep.data.label_studio import voting
from lockstep.data.label_studio.project_writing import CONTROL
from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.sources import Source
from lockstep.errors import UserError
from lockstep.harvest.logged_feedback import Feedback, LeftOut, RatedRequest


@dataclass(frozen=True, slots=True)
class Review:
    """The result of the review of a request."""

    request: RatedRequest
    """The request as it was reviewed, since the log may have been rotated since."""
    task: str
    answer: str


def read_reviews(paths: Sequence[Path]) -> tuple[dict[str, Review], list[LeftOut]]:
    """Return the reviews in exports, by the id of the request, and those without a result.

    A path is an export as JSON, or a folder of exports. Raise UserError if it is neither.
    """
    reviews: dict[str, Review] = {}
    left_out: dict[str, LeftOut] = {}
    for place, row in _read_rows(paths):
        data = _get_data(place, row)
        name = data["request"]
        if name in reviews or name in left_out:
            raise UserError(f"{place}: request {name} was reviewed twice; give each export once")
        try:
            answer = voting.merge_votes(row, voting.read_votes(row))[voting.ANSWER]
        except InvalidRowError as error:
            left_out[name] = LeftOut(request_id=name, reason=str(error), detail=error.detail)
        else:
            reviews[name] = Review(_build_request(data), data["task"], answer.strip())
    return reviews, [*left_out.values()]


def _read_rows(paths: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    for path in paths:
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: no export (*.json) in it; export the project as JSON")
        for file in files:
            try:
                source = Source(path=file.name, format="label_studio", control=CONTROL)
            except ValidationError:  # the suffix is none that prepare reads
                raise UserError(f"{file}: no export as JSON; export the project as JSON") from None
            for place, row in source_reading.read_source(file.parent, source):
                yield str(file.parent / place), row


def _get_data(place: str, row: Any) -> dict[str, Any]:
    """Return the data of a task; raise UserError if `make harvest` did not write it."""
    data = row.get("data") if isinstance(row, dict) else None
    if not isinstance(data, dict) or not {"request", "messages", "task"} <= data.keys():
        raise UserError(
            f"{place}: no task of a project that `make harvest` wrote; export that one as JSON"
        )
    return data


def _build_request(data: dict[str, Any]) -> RatedRequest:
    return RatedRequest(
        id=data["request"],
        messages=data["messages"],
        answer=data.get("answer", ""),
        feedback=Feedback(request_id=data["request"]),
    )
