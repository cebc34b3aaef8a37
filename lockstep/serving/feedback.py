"""The endpoints /v1/feedback and /v1/outcome, by which people judge answers in the log folder."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from lockstep.serving.abtest_plan import Outcome
from lockstep.serving.api.api_errors import ApiError
from lockstep.serving.api.exchange import Exchange, answer_exchange
from lockstep.serving.api.request_body import check_keys, parse_object, read_body
from lockstep.serving.api.request_limits import RateLimits
from lockstep.serving.api_keys import ApiKeys
from lockstep.serving.logs.file_logger import is_sampled
from lockstep.serving.logs.log_files import LogWriter
from lockstep.serving.logs.log_folder import LogFolder, issue_random_id
from lockstep.serving.logs.request_log import RequestLogger, RequestRecord
from lockstep.serving.logs.text_masking import TextMasker
from lockstep.serving.serving_params import ServingParams

RequestId = Annotated[str, Field(min_length=1, max_length=256)]
Text = Annotated[str, Field(min_length=1, max_length=32_768)]


class Feedback(BaseModel):
    """Body of /v1/feedback."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: RequestId
    """Id of the answer (`id`, and the header x-request-id)."""
    thumb: Literal["up", "down"] | None = None
    score: Annotated[float, Field(ge=1, le=5)] | None = None
    """Number from 1 (bad) to 5 (good)."""
    correction: Text | None = None
    """Answer that would have been right."""
    comment: Text | None = None


class OutcomeReport(BaseModel):
    """Body of /v1/outcome."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: RequestId | None = None
    user: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """User id, as in the parameter `user` of requests."""
    outcome: Outcome
    value: Annotated[float, Field(ge=-1e12, le=1e12)] | bool
    """Yes or no (true or false, 1 or 0) if the outcome is one; a rating; an amount of revenue."""


_YES_OR_NO = ("resolved", "converted")
"""Outcomes whose values are from 0 to 1."""


class FeedbackEndpoints:
    """The endpoints that store judgements."""

    def __init__(
        self,
        settings: ServingParams,
        keys: ApiKeys,
        limits: RateLimits,
        folder: LogFolder | None,
        masker: TextMasker,
        loggers: Sequence[RequestLogger],
    ) -> None:
        """Store judgements in a log folder, under the limits that all requests share."""
        self.settings, self.keys, self.limits, self.folder = settings, keys, limits, folder
        self.masker, self.loggers = masker, loggers

    async def receive_feedback(self, request: HttpRequest) -> Response:
        """Answer /v1/feedback."""
        return await self._handle(request, self._store_feedback)

    async def receive_outcome(self, request: HttpRequest) -> Response:
        """Answer /v1/outcome."""
        return await self._handle(request, self._store_outcome)

    async def _handle(
        self,
        request: HttpRequest,
        store: Callable[[dict[str, Any], str, LogFolder], Awaitable[Response]],
    ) -> Response:
        """Return the response to a request, or to an error."""
        record = RequestRecord(
            id=issue_random_id("feedback"), time=time.time(), endpoint=request.url.path
        )
        exchange = Exchange(record, self.loggers)
        return await answer_exchange(exchange, self._respond(request, record, store))

    async def _respond(
        self,
        request: HttpRequest,
        record: RequestRecord,
        store: Callable[[dict[str, Any], str, LogFolder], Awaitable[Response]],
    ) -> Response:
        record.key = self.keys.authenticate(request.headers.get("authorization", ""))
        self.limits.count_request(record.key)
        values = parse_object(await read_body(request, self.settings))
        if self.folder is None:
            raise ApiError(404, "no_log", "this server keeps no log; set serving.log_folder")
        return await store(values, record.key, self.folder)

    async def _store_feedback(
        self, values: dict[str, Any], key: str, folder: LogFolder
    ) -> Response:
        feedback = check_keys(values, Feedback)
        kinds = _list_kinds(feedback)
        if not kinds:
            raise ApiError(400, "invalid_value", "give a thumb, a score or a correction", "thumb")
        _check_id(feedback.request_id, folder)
        judgement = feedback.model_dump(exclude={"request_id"}, exclude_none=True)
        masked = await asyncio.to_thread(self.masker.mask_values, judgement)
        line = {"request_id": feedback.request_id, "key": key, **masked}
        await _write(folder.feedback, line)
        folder.judgements.update(kinds)
        return JSONResponse(
            {
                "object": "feedback",
                "request_id": feedback.request_id,
                "texts_logged": is_sampled(feedback.request_id, self.settings.log_share),
            }
        )

    async def _store_outcome(self, values: dict[str, Any], key: str, folder: LogFolder) -> Response:
        report = check_keys(values, OutcomeReport)
        if (report.request_id is None) == (report.user is None):
            raise ApiError(400, "invalid_value", "give either request_id or user", "user")
        if report.outcome in _YES_OR_NO and not 0 <= report.value <= 1:
            raise ApiError(400, "invalid_value", "value: from 0 to 1 for this outcome", "value")
        line: dict[str, Any] = {"key": key, "outcome": report.outcome, "value": float(report.value)}
        if report.request_id is not None:
            _check_id(report.request_id, folder)
            line["request_id"] = report.request_id
        if report.user is not None:
            line["user"] = folder.hash_user(report.user)
        await _write(folder.outcomes, line)
        return JSONResponse({"object": "outcome", "outcome": report.outcome})


def _list_kinds(feedback: Feedback) -> list[str]:
    """Return the kinds of judgement in some feedback, for the metrics."""
    kinds = [f"thumb_{feedback.thumb}"] if feedback.thumb else []
    kinds += ["score"] if feedback.score is not None else []
    return kinds + (["correction"] if feedback.correction else [])


def _check_id(request_id: str, folder: LogFolder) -> None:
    """Raise ApiError if no gateway with this log folder has issued a request id."""
    if not folder.has_issued(request_id):
        message = "request_id: not the id of an answer of this server"
        raise ApiError(404, "request_not_found", message, "request_id")


async def _write(writer: LogWriter, line: Mapping[str, Any]) -> None:
    """Write a line in a thread; raise ApiError if it is not on disk then."""
    if not await asyncio.to_thread(writer.write, {"time": round(time.time(), 3), **line}):
        message = "the server cannot write its log; send this again later"
        raise ApiError(503, "log_unavailable", message, retry_after=30)
