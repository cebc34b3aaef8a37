"""A request that is being answered: its record, what it holds, and a client that may leave."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from lockstep.serving.api.api_errors import CLIENT_CLOSED, ApiError
from lockstep.serving.logs.request_log import RequestLogger, RequestRecord

T = TypeVar("T")


class Exchange:
    """A request that is being answered; its record is handed to the loggers once, at the end."""

    def __init__(self, record: RequestRecord, loggers: Sequence[RequestLogger]) -> None:
        """Begin an exchange."""
        self.record, self.loggers = record, loggers
        self.start = time.perf_counter()
        self.stack = AsyncExitStack()
        """Resources to release at the end, such as a slot."""
        self._is_finished = False

    @property
    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self.start

    def note_error(self, status: int, code: str) -> None:
        """Note how the request failed; the first error counts."""
        if not self.record.error:
            self.record.status, self.record.error = status, code

    async def finish(self) -> None:
        """Release what is held, and hand the record on."""
        if self._is_finished:
            return
        self._is_finished = True
        await self.stack.aclose()
        self.record.seconds = self.elapsed
        for logger in self.loggers:
            logger.log(self.record)


class ExchangeStream(StreamingResponse):
    """A streamed answer, whose exchange is finished even if the client leaves."""

    def __init__(self, events: AsyncGenerator[bytes, None], exchange: Exchange) -> None:
        """Stream events."""
        super().__init__(
            events, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )
        self._events, self._exchange = events, exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            await super().__call__(scope, receive, send)
        except Exception:
            self._exchange.note_error(500, "internal_error")
            raise
        finally:
            await self._events.aclose()
            if not self._exchange.record.finish_reason:
                self._exchange.note_error(CLIENT_CLOSED, "client_closed")
            await self._exchange.finish()


async def answer_exchange(exchange: Exchange, answer: Awaitable[Response]) -> Response:
    """Return the response to a request, or to an error, and finish the exchange."""
    try:
        response = await answer
    except ApiError as error:
        exchange.note_error(error.status, error.code)
        response = error.build_response()
    except asyncio.CancelledError:
        exchange.note_error(CLIENT_CLOSED, "client_closed")
        await exchange.finish()
        raise
    except Exception:
        exchange.note_error(500, "internal_error")
        await exchange.finish()
        raise
    response.headers["x-request-id"] = exchange.record.id
    if not isinstance(response, ExchangeStream):
        await exchange.finish()
    return response


async def run_for_client(request: HttpRequest, answer: Awaitable[T]) -> T:
    """Return the answer to a request, or raise ApiError when the client leaves before it."""
    task = asyncio.ensure_future(answer)
    watcher = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ApiError(CLIENT_CLOSED, "client_closed", "the client left")
        return await task
    finally:
        watcher.cancel()
        task.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _wait_for_disconnect(request: HttpRequest) -> None:
    """Return when the client of a request, whose body was read, leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
