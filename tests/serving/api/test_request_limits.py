"""Limits per minute hold exactly, forget what is older, and start no thread for each request."""

import threading
import time
from collections.abc import Iterator

import pytest

from lockstep.serving.api import request_limits
from lockstep.serving.api.api_errors import ApiError
from lockstep.serving.api.request_limits import RateLimits


@pytest.fixture
def shift_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """List with the seconds by which the clock is ahead."""
    shift, clock = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: clock() + shift[0])
    yield shift


def count_accepted(limits: RateLimits, requests: int) -> int:
    accepted = 0
    for _ in range(requests):
        try:
            limits.count_request("shop")
            accepted += 1
        except ApiError as error:
            assert error.retry_after is not None and 0 <= error.retry_after <= 60
    return accepted


def test_no_minute_has_more_requests_than_the_limit(shift_time: list[float]) -> None:
    limits = RateLimits(5, 0)
    assert count_accepted(limits, 3) == 3
    shift_time[0] = 40
    assert count_accepted(limits, 9) == 2
    shift_time[0] = 59
    assert count_accepted(limits, 9) == 0
    shift_time[0] = 61
    assert count_accepted(limits, 9) == 3


def test_old_requests_are_removed_by_few_threads(
    shift_time: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "EXPIRY_SECONDS", 0.2)
    starts: list[int] = []
    start = threading.Timer.start

    def count_start(timer: threading.Timer) -> None:
        starts.append(1)
        start(timer)

    monkeypatch.setattr(threading.Timer, "start", count_start)
    limits = RateLimits(1000, 0)
    count_accepted(limits, 100)
    shift_time[0] = 90
    for _ in range(10):
        time.sleep(0.03)
        count_accepted(limits, 1)
    assert len(starts) <= 3
    (entries,) = limits.storage.events.values()
    assert len(entries) <= 10
