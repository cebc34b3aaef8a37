"""Limits on requests: per minute and API key, and at the same time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Timer

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import (
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from lockstep.serving.api.api_errors import ApiError

EXPIRY_SECONDS = 10.0
"""Time between two removals of old entries from the storage."""


class _Storage(MemoryStorage):
    """A storage that removes old entries now and then.

    That of limits starts a thread for it at nearly every request, which takes 0.4 ms.
    """

    @property
    def timer(self) -> Timer:
        """The thread that will remove old entries; none is started while it waits."""
        return self._timer

    @timer.setter
    def timer(self, timer: Timer) -> None:
        timer.interval, timer.daemon = EXPIRY_SECONDS, True
        self._timer = timer


class RateLimits:
    """Requests and tokens per minute and API key. 0 stands for no limit.

    No minute has more requests than the limit. Tokens are counted in two windows, the older of
    which counts by the share that lies within the last minute.
    """

    def __init__(self, requests: int, tokens: int) -> None:
        """Set the limits."""
        self.storage = _Storage()
        self._requests = MovingWindowRateLimiter(self.storage)
        self._tokens = SlidingWindowCounterRateLimiter(self.storage)
        self._request_limit = RateLimitItemPerMinute(requests, namespace="requests")
        self._token_limit = RateLimitItemPerMinute(tokens, namespace="tokens")

    def count_request(self, key: str) -> None:
        """Count a request; raise ApiError if the limit is reached."""
        _hit(self._requests, self._request_limit, key, 1, "requests_per_minute")

    def count_tokens(self, key: str, tokens: int) -> None:
        """Count tokens; raise ApiError if the limit is reached, or smaller than one request."""
        limit = self._token_limit.amount
        if limit and tokens > limit:
            raise ApiError(
                400,
                "tokens_per_minute",
                f"the request may take {tokens} tokens, more than {limit} per minute; lower "
                "max_tokens or shorten it",
            )
        _hit(self._tokens, self._token_limit, key, tokens, "tokens_per_minute")


def _hit(limiter: RateLimiter, limit: RateLimitItem, key: str, cost: int, code: str) -> None:
    if limit.amount and not limiter.hit(limit, key, cost=cost):
        wait = limiter.get_window_stats(limit, key).reset_time - time.time()
        name = code.replace("_", " ")
        raise ApiError(
            429, code, f"more than {limit.amount} {name}; wait", retry_after=max(0.0, wait)
        )


class Slots:
    """A bound on the requests that a model answers at the same time, with a short queue."""

    def __init__(self, concurrent: int, queued: int, seconds: float) -> None:
        """Set the bounds; `seconds` is the longest wait."""
        self._free = asyncio.Semaphore(concurrent)
        self._limit, self._seconds = concurrent + queued, seconds
        self.waiting = 0
        """Number of requests in the queue."""
        self.running = 0
        """Number of requests that have a slot."""

    @asynccontextmanager
    async def reserve(self) -> AsyncIterator[None]:
        """Hold a slot; raise ApiError if the queue is full or the wait is too long."""
        await self._acquire()
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()

    async def _acquire(self) -> None:
        if self.running + self.waiting >= self._limit:
            raise ApiError(429, "queue_full", "the queue is full; try again", retry_after=1)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise ApiError(
                429, "queue_timeout", "no slot became free in time; try again", retry_after=1
            ) from None
        finally:
            self.waiting -= 1
