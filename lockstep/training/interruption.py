"""Signals that end a training wait until it has saved its state."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def handled_signals() -> list[signal.Signals]:
    """Return the signals that end a training.

    A signal that the process ignores stays ignored: SIGINT in a shell's background, SIGHUP under
    nohup. If it were noted, training would stop and then continue as if it were complete.
    """
    return [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]


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
    before = {number: signal.signal(number, noted) for number in handled_signals()}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if noted.number is not None:
        signal.raise_signal(noted.number)
