"""Progress: a line every 15 seconds in a log, a bar on a terminal."""

import sys

import pytest

from lockstep import progress
from lockstep.inference.batching import batch_by_length
from lockstep.progress import LogClock, track_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Replace the time by a number that a test sets."""
    now = {"seconds": 100.0}
    monkeypatch.setattr(progress.time, "monotonic", lambda: now["seconds"])
    monkeypatch.setattr(progress, "CLOCK", LogClock())
    return now


def test_a_log_has_a_line_every_15_seconds(
    clock: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    with track_progress("predict: answers intent", 2000, "records"):
        for _ in range(10):
            clock["seconds"] += 8
            progress.advance(100)
    assert capsys.readouterr().err.splitlines() == [
        "predict: answers intent: 200 of 2,000 records, 02:24 left",
        "predict: answers intent: 400 of 2,000 records, 02:08 left",
        "predict: answers intent: 600 of 2,000 records, 01:52 left",
        "predict: answers intent: 800 of 2,000 records, 01:36 left",
        "predict: answers intent: 1,000 of 2,000 records, 01:20 left",
    ]


def test_short_parts_share_the_seconds_between_two_lines(
    clock: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abcd":
        with track_progress(name, 10, "records"):
            clock["seconds"] += 10
            progress.advance(10)
    assert capsys.readouterr().err.splitlines() == [
        "b: 10 of 10 records, 00:00 left",
        "d: 10 of 10 records, 00:00 left",
    ]


def test_batches_count_their_rows() -> None:
    with track_progress("rows", 5, "rows") as rows:
        finished = [rows.finished for _ in batch_by_length([3, 1, 2, 5, 4], 2)]
    assert (finished, rows.finished) == ([0, 2, 4], 5)


def test_it_never_counts_more_than_all() -> None:
    with track_progress("rows", 5, "rows") as rows:
        rows.move_to(7)
    assert rows.finished == 5


def test_advance_counts_for_the_innermost_block() -> None:
    with track_progress("outer", 5, "rows") as outer:
        with track_progress("inner", 5, "rows") as inner:
            progress.advance(2)
        progress.advance(1)
    progress.advance(1)
    assert (outer.finished, inner.finished) == (1, 2)


def test_a_terminal_shows_a_bar(
    clock: dict[str, float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with track_progress("predict: answers intent", 4, "records"):
        clock["seconds"] += 60
        progress.advance(2)
    shown = capsys.readouterr().err
    assert "predict: answers intent" in shown and "0/4 records" in shown
    assert "\n" not in shown, "the bar is removed at the end"
