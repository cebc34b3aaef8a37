"""Signals that end a training wait until it has saved its state."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interruption:
    """Whether somebody asked for the end, and by which signal."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = number


@contextmanager
def deferred() -> Iterator[Interruption]:
    """Within the block a signal is only noted; at its end it is raised again and takes effect."""
    noted = Interruption()
    before = {number: signal.signal(number, noted) for number in SIGNALS}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if noted.number is not None:
        signal.raise_signal(noted.number)
