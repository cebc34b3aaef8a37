"""Learning curves average over seeds and measure the gain of the last doubling."""

import math

import pytest

from lockstep.statistics.confidence_intervals import Interval
from lockstep.sweeps.experiments import FOLD, FOLDS, FRACTION, SEED, Run, RunMetrics
from lockstep.sweeps.learning_curves import (
    Point,
    compute_curves,
    interpolate,
    measure_last_doubling,
)


def make_run(fraction: float, value: float, seed: int = 7) -> Run:
    metrics = {
        "base": {"intent": {"accuracy": 0.1}},
        "merged": {"intent": {"accuracy": value}, "perplexity": {"overall": 1 / value}},
        "data": {"train": round(1000 * fraction), "test": 100},
        "train": {"loss": 0.1, "validation_loss": 0.3},
    }
    inputs = {FRACTION: fraction, FOLDS: 0, FOLD: 0, SEED: seed}
    return Run(f"{seed}-{fraction}", inputs, RunMetrics.model_validate(metrics))


def test_a_curve_starts_at_the_base_and_has_the_mean_over_seeds_of_each_share() -> None:
    """The interval is 0.7 ± 12.7062 · 0.01.

    12.7062 is the 97.5% point of t with one degree of freedom, 0.01 the standard error of 0.69
    and 0.71.
    """
    (group,) = compute_curves(
        [make_run(1.0, 0.9), make_run(0.5, 0.69), make_run(0.5, 0.71, seed=8)]
    )
    intent, perplexity = group.suites
    base, half, whole = intent.points
    assert (perplexity.suite, [point.fraction for point in perplexity.points]) == (
        "perplexity", [0.5, 1.0],
    )  # fmt: skip
    assert (base.fraction, base.records, base.runs, base.mean) == (0, 0, 2, 0.1)
    assert (half.records, half.runs, half.mean) == (500, 2, pytest.approx(0.7))
    assert half.interval is not None
    assert half.interval.low == pytest.approx(0.7 - 12.7062 * 0.01, abs=1e-6)
    assert half.interval.high == pytest.approx(0.7 + 12.7062 * 0.01, abs=1e-6)
    assert whole == Point(fraction=1.0, records=1000, runs=1, mean=0.9, interval=None)


def test_an_interval_is_clipped_to_the_scale() -> None:
    (group,) = compute_curves([make_run(1.0, 0.9), make_run(0.5, 0.6), make_run(0.5, 0.8, seed=8)])
    assert group.suites[0].points[1].interval == Interval(0.0, 1.0)


def test_the_gain_is_the_mean_of_differences_within_seeds() -> None:
    """The gains are 0.2 and 0.1, so the interval is 0.15 ± 12.7062 · 0.05.

    Seed 9 has no run on half of the records, and seed 10 has none on all of them.
    """
    gain = measure_last_doubling(
        {7: {0.5: 0.5, 1.0: 0.7}, 8: {0.25: 0.1, 0.5: 0.8, 1.0: 0.9}, 9: {1.0: 0.1}, 10: {0.5: 0.2}}
    )
    assert gain is not None and gain.interval is not None
    assert (gain.half, gain.whole, gain.seeds, gain.interpolated) == (0.5, 1.0, 2, False)
    assert gain.value == pytest.approx(0.15)
    assert gain.interval.high == pytest.approx(0.15 + 12.7062 * 0.05, abs=1e-5)


def test_a_half_between_two_runs_is_interpolated() -> None:
    """Shares are compared by doublings, so 0.5 is halfway between 0.25 and 1."""
    gain = measure_last_doubling({7: {0.25: 0.6, 1.0: 0.8}})
    assert gain is not None
    assert (gain.value, gain.interpolated, gain.interval) == (pytest.approx(0.1), True, None)
    assert interpolate({0.1: 0.0, 0.4: 1.0}, 0.2) == pytest.approx(math.log(2) / math.log(4))


def test_without_a_run_on_half_of_the_records_no_gain_is_known() -> None:
    assert measure_last_doubling({7: {0.6: 0.6, 1.0: 0.8}}) is None


def test_one_share_of_the_records_gives_no_curve() -> None:
    assert compute_curves([make_run(0.5, 0.7), make_run(0.5, 0.8, seed=8)]) == []
