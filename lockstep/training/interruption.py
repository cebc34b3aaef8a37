"""Signals that interrupt a training: they take effect after a checkpoint is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that interrupt a training."""


def list_handled_signals() -> list[signal.Signals]:
    """Return the signals that interrupt a training.

    A signal that the process ignores stays ignored: SIGINT in a shell's background, SIGHUP under
    nohup. Otherwise training would stop early at such a signal, and since the signal has no effect
    afterwards, the stage would continue as if the training were complete.
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
    handlers = {number: signal.signal(number, interruption) for number in list_handled_signals()}
    try:
        yield interruption
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if interruption.signal is not None:
        signal.raise_signal(interruption.signal)
