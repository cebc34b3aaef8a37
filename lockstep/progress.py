"""Progress of a stage's long work: a bar on a terminal, a line every 15 seconds in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

LOG_SECONDS = 15.0
"""Minimum number of seconds between two lines of progress in a log."""

BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {unit}, {remaining} left"


class LogClock:
    """Says when the next line of progress is due, for all parts of a stage together."""

    def __init__(self) -> None:
        self.last_line = time.monotonic()

    def is_due(self) -> bool:
        """Whether LOG_SECONDS have passed since the last line; if so, they start anew."""
        now = time.monotonic()
        if now - self.last_line < LOG_SECONDS:
            return False
        self.last_line = now
        return True


CLOCK = LogClock()


class Progress:
    """Number of finished items, shown on stderr."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        """Start at zero of `total` items; `unit` names an item in the plural."""
        self.title, self.total, self.unit = title, total, unit
        self.finished, self.started = 0, time.monotonic()
        self.bar: Any = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=total, desc=title, unit=unit, bar_format=BAR, leave=False)

    def move_to(self, finished: int) -> None:
        """Set the number of finished items, at most all."""
        finished = min(finished, self.total)
        if self.bar is not None:
            self.bar.update(finished - self.finished)
        self.finished = finished
        if self.bar is None and CLOCK.is_due():
            click.echo(
                f"{self.title}: {finished:,} of {self.total:,} {self.unit}, "
                f"{self._estimate_time_left()} left",
                err=True,
            )

    def _estimate_time_left(self) -> str:
        seconds_per_item = (time.monotonic() - self.started) / max(1, self.finished)
        return tqdm.format_interval(seconds_per_item * (self.total - self.finished))


_current: Progress | None = None


@contextmanager
def track_progress(title: str, total: int, unit: str) -> Iterator[Progress]:
    """Show the progress of the block; `advance` counts its items."""
    global _current
    outer, _current = _current, Progress(title, total, unit)
    try:
        yield _current
    finally:
        if _current.bar is not None:
            _current.bar.close()
        _current = outer


def advance(items: int) -> None:
    """Count finished items of the innermost block of `track_progress`, if there is one."""
    if _current is not None:
        _current.move_to(_current.finished + items)
