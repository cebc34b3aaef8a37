"""Logged requests with the feedback on their answers, joined by the id of the request."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from lockstep.errors import UserError
from lockstep.records import Message
from lockstep.serving.logs.log_files import FEEDBACK, REQUESTS, read_log
from lockstep.serving.logs.text_masking import TextMasker


class Feedback(BaseModel):
    """Keys of a line of feedback that are read."""

    request_id: str
    thumb: Literal["up", "down", ""] = ""
    score: float | None = None
    correction: str = ""
    comment: str = ""


class _Turn(BaseModel):
    role: str
    content: str = ""
    tool_calls: list[Any] | None = None


class _Request(BaseModel):
    """Keys of a line of the requests that are read; it has texts only if it was sampled."""

    request_id: str = ""
    answered_by: str = ""
    finish_reason: str = ""
    messages: list[_Turn] = []
    answer: str = ""
    tools: list[Any] = []

    def find_obstacle(self) -> str:
        """Return why the request cannot be learnt, in snake_case; empty if it can be."""
        if not self.messages:
            return "texts_not_logged"
        if any(turn.role == "text" for turn in self.messages):
            return "not_a_conversation"
        if self.tools or any(turn.role == "tool" or turn.tool_calls for turn in self.messages):
            return "has_tools"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedRequest:
    """A request with its answer and the feedback on it, with personal data masked."""

    id: str
    messages: list[Message]
    """The conversation before the answer."""
    answer: str
    """Answer of the model; empty if the request failed."""
    answered_by: str = ""
    """Name of the model."""
    is_truncated: bool = False
    """Whether the answer was cut off at the maximum number of tokens."""
    feedback: Feedback


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A request that is not learnt from."""

    request_id: str
    reason: str
    """Reason in snake_case, e.g. `duplicate`."""
    because_of: str = ""
    """Place of the record, or id of the request, that causes it."""
    detail: str = ""
    """Sentence that says what was found and what would help."""


def read_rated_requests(
    folder: Path, masker: TextMasker
) -> tuple[list[RatedRequest], list[LeftOut]]:
    """Return the requests that have feedback, in the order of the log, and those without texts.

    Raise UserError for a line without the keys of the log.
    """
    feedback = _merge_feedback(folder)
    rated, left_out = [], []
    for request in _read_lines(folder, REQUESTS, _Request):
        ratings = feedback.pop(request.request_id, None)
        if ratings is None:
            continue
        if obstacle := request.find_obstacle():
            left_out.append(LeftOut(request_id=request.request_id, reason=obstacle))
        else:
            rated.append(_join(request, ratings, masker))
    left_out += [LeftOut(request_id=name, reason="request_not_logged") for name in feedback]
    return rated, left_out


def _merge_feedback(folder: Path) -> dict[str, Feedback]:
    """Return the feedback on each request; the last value of each key counts."""
    merged: dict[str, Feedback] = {}
    for line in _read_lines(folder, FEEDBACK, Feedback):
        earlier = merged.get(line.request_id, line)
        changes = line.model_dump(exclude_unset=True)
        merged[line.request_id] = earlier.model_copy(update=changes)
    return merged


def _join(request: _Request, feedback: Feedback, masker: TextMasker) -> RatedRequest:
    """Return a request with its feedback; texts are masked again, in case they were not."""
    texts = {"correction": feedback.correction.strip(), "comment": feedback.comment.strip()}
    return RatedRequest(
        id=request.request_id,
        messages=[
            {"role": turn.role, "content": masker.mask_text(turn.content)}
            for turn in request.messages
        ],
        answer=masker.mask_text(request.answer),
        answered_by=request.answered_by,
        is_truncated=request.finish_reason == "length",
        feedback=feedback.model_copy(update=masker.mask_values(texts)),
    )


L = TypeVar("L", bound=BaseModel)


def _read_lines(folder: Path, name: str, schema: type[L]) -> Iterator[L]:
    """Yield the lines of a log; null stands for an absent value."""
    for number, values in enumerate(read_log(folder, name), 1):
        try:
            yield schema.model_validate({k: v for k, v in values.items() if v is not None})
        except ValidationError as error:
            key = ".".join(map(str, error.errors()[0]["loc"]))
            raise UserError(
                f"{folder / name}: entry {number}: {key} is missing or wrong; is this the log of "
                "`make serve`?"
            ) from None
