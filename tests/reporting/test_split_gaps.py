"""Gaps between training and validation: which rows are shown, and which are a concern."""

from typing import Any

from lockstep.reporting.split_gaps import GapRow, describe_gaps, list_gaps
from lockstep.statistics.confidence_intervals import Interval
from tests.reporting.results import make_results


def make_gap(gap: float, low: float, high: float) -> dict[str, Any]:
    """Return a gap as details.json has it."""
    part = {"records": 60, "metric": 0.5, "interval": [0.4, 0.6]}
    return {"train": part, "validation": part, "gap": gap, "gap_interval": [low, high]}


def make_row(name: str, gap: tuple[float, float, float], base: Any = None) -> GapRow:
    value, low, high = gap
    return GapRow(
        task="intent",
        name=name,
        splits={},
        gap=value,
        gap_interval=Interval(low, high),
        base_gap=base and (base[0], Interval(base[1], base[2])),
    )


def test_a_gap_is_proven_by_its_whole_interval() -> None:
    assert make_row("accuracy", (0.2, 0.1, 0.3)).is_proven
    assert not make_row("accuracy", (0.2, -0.1, 0.5)).is_proven
    assert not make_row("accuracy", (-0.2, -0.3, -0.1)).is_proven, (
        "training records have the lower metric"
    )


def test_lower_is_better_for_errors() -> None:
    assert make_row("mean_absolute_error", (-0.2, -0.3, -0.1)).is_proven
    assert not make_row("mean_absolute_error", (0.2, 0.1, 0.3)).is_proven


def test_a_gap_that_the_base_has_too_is_not_proven() -> None:
    """In that case the training records are easier, and tuning did not cause the gap."""
    assert make_row("accuracy", (0.2, 0.1, 0.3), base=(0.0, -0.05, 0.05)).is_proven
    assert not make_row("accuracy", (0.2, 0.1, 0.3), base=(0.15, 0.05, 0.25)).is_proven


def test_a_gap_is_shown_in_the_unit_of_its_metric() -> None:
    row = make_row("accuracy", (0.2, -0.1, 0.3))
    assert (row.shown_gap, row.shown_interval) == ("+20.0 points", "−10.0 to +30.0 points")


def test_the_main_metric_and_perplexity_of_each_suite_are_listed() -> None:
    gaps = {
        "base": {"intent": {"accuracy": make_gap(0.0, -0.1, 0.1)}},
        "merged": {
            "intent": {
                "perplexity": make_gap(-1.0, -2.0, -0.5),
                "macro_f1": make_gap(0.3, 0.2, 0.4),
                "accuracy": make_gap(0.2, 0.15, 0.25),
            },
            "price": {"valid": make_gap(0.3, 0.2, 0.4)},
        },
    }
    rows = list_gaps(make_results((0.1, 0.9, 0.9), split_gaps=gaps))
    assert [(row.task, row.name) for row in rows] == [
        ("intent", "accuracy"), ("intent", "perplexity"), ("price", "valid"),
    ]  # fmt: skip
    assert rows[0].base_gap == (0.0, Interval(-0.1, 0.1))
    assert rows[1].base_gap is None
    assert list(describe_gaps(rows)) == [
        "The model does better on training records than on validation records: intent accuracy by "
        "20.0 points, price valid by 30.0 points. More data, fewer epochs or stronger "
        "regularization would narrow the gap."
    ]


def test_a_gap_in_perplexity_alone_is_not_a_concern() -> None:
    assert list(describe_gaps([make_row("perplexity", (-1.0, -2.0, -0.5))])) == []
    assert list(describe_gaps([make_row("accuracy", (0.2, -0.1, 0.5))])) == []
