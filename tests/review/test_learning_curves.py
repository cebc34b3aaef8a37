import math

import pytest

from lockstep.review.experiments import FOLD, FOLDS, FRACTION, SEED, Metrics, Run
from lockstep.review.learning_curves import Point, curves, interpolated, last_doubling
from lockstep.statistics.confidence_intervals import Interval


def run(fraction: float, value: float, seed: int = 7) -> Run:
    figures = {
        "base": {"intent": {"accuracy": 0.1}},
        "merged": {"intent": {"accuracy": value}, "perplexity": {"overall": 1 / value}},
        "data": {"train": round(1000 * fraction), "test": 100},
        "train": {"loss": 0.1, "validation_loss": 0.3},
    }
    made = {FRACTION: fraction, FOLDS: 0, FOLD: 0, SEED: seed}
    return Run(f"{seed}-{fraction}", made, Metrics.model_validate(figures))


def test_a_curve_has_the_mean_over_seeds_of_each_share_behind_the_base() -> None:
    """0.7 ± 12.7062 · 0.1: the 97.5% point of t with one degree of freedom in any table, and the
    standard error of 0.6 and 0.8; cut at 1 and 0."""
    (group,) = curves([run(1.0, 0.9), run(0.5, 0.69), run(0.5, 0.71, seed=8)])
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


def test_an_interval_does_not_leave_the_scale() -> None:
    (group,) = curves([run(1.0, 0.9), run(0.5, 0.6), run(0.5, 0.8, seed=8)])
    assert group.suites[0].points[1].interval == Interval(0.0, 1.0)


def test_the_last_doubling_is_taken_within_each_seed() -> None:
    """Gains 0.2 and 0.1; seed 9 has no half, seed 10 not the whole. 0.15 ± 12.7062 · 0.05."""
    found = last_doubling(
        {7: {0.5: 0.5, 1.0: 0.7}, 8: {0.25: 0.1, 0.5: 0.8, 1.0: 0.9}, 9: {1.0: 0.1}, 10: {0.5: 0.2}}
    )
    assert found is not None and found.interval is not None
    assert (found.half, found.whole, found.seeds, found.interpolated) == (0.5, 1.0, 2, False)
    assert found.value == pytest.approx(0.15)
    assert found.interval.high == pytest.approx(0.15 + 12.7062 * 0.05, abs=1e-5)


def test_a_half_between_two_runs_is_interpolated() -> None:
    """0.5 is half way from 0.25 to 1 in doublings."""
    found = last_doubling({7: {0.25: 0.6, 1.0: 0.8}})
    assert found is not None
    assert (found.value, found.interpolated, found.interval) == (pytest.approx(0.1), True, None)
    assert interpolated({0.1: 0.0, 0.4: 1.0}, 0.2) == pytest.approx(math.log(2) / math.log(4))


def test_without_a_run_of_half_the_records_no_doubling_is_told() -> None:
    assert last_doubling({7: {0.6: 0.6, 1.0: 0.8}}) is None


def test_one_share_is_no_curve() -> None:
    assert curves([run(0.5, 0.7), run(0.5, 0.8, seed=8)]) == []
