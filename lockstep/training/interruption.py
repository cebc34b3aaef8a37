"""Signals that end a training: they wait until a checkpoint is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that interrupt a training."""


def handled_signals() -> list[signal.Signals]:
    """Return the signals that interrupt a training.

    A signal that the process ignores stays ignored: SIGINT in a shell's background, SIGHUP under
    nohup. If it were noted, training would stop and then continue as if it were complete.
    """
    return [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]


class Interruption:
    """A signal handler that remembers the last signal that it received."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.signal = number


@contextmanager
def defer_signals() -> Iterator[Interruption]:
    """Hold back the handled signals within the block; raise the last one after it."""
    interruption = Interruption()
    handlers = {number: signal.signal(number, interruption) for number in handled_signals()}
    try:
        yield interruption
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if interruption.signal is not None:
        signal.raise_signal(interruption.signal)
