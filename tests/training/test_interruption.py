"""Signals during training take effect at the end of a block; ignored signals stay ignored."""

import signal
from collections.abc import Iterator

import pytest

from lockstep.training import interruption


class ArrivedError(Exception):
    pass


@pytest.fixture(autouse=True)
def raise_on_sighup() -> Iterator[None]:
    """Let SIGHUP raise an exception, and restore its handler afterwards."""

    def raise_error(*_: object) -> None:
        raise ArrivedError

    before = signal.signal(signal.SIGHUP, raise_error)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_signal_takes_effect_at_the_end_of_the_block() -> None:
    steps = []
    with pytest.raises(ArrivedError), interruption.defer_signals() as signals:
        signal.raise_signal(signal.SIGHUP)
        steps.append(signals.signal)
    assert steps == [signal.SIGHUP]


def test_an_ignored_signal_interrupts_nothing() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruption.defer_signals() as signals:
        signal.raise_signal(signal.SIGHUP)
        assert signals.signal is None
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
