import math

import pytest

from lockstep.review.cross_validation import corrected, summaries
from lockstep.review.experiments import FOLD, FOLDS, FRACTION, SEED, Metrics, Run

FIVE = [0.8, 0.9, 0.85, 0.95, 0.75]


def fold_run(fold: int, value: float, seed: int = 7, **made_of: object) -> Run:
    """Of 3 folds; 100 test records, 400 training records."""
    figures = {
        "base": {"intent": {"accuracy": value / 2}},
        "merged": {"intent": {"accuracy": value}},
        "data": {"train": 400, "test": 100},
        "train": {"loss": 0.1, "validation_loss": 0.3},
    }
    made = {FRACTION: 1.0, FOLDS: 3, FOLD: fold, SEED: seed, **made_of}
    return Run(f"{seed}-{fold}", made, Metrics.model_validate(figures))


def test_the_interval_is_nadeau_s_and_bengio_s() -> None:
    """By hand: the squared deviations add up to 0.025, their variance is 0.00625; that times 1/5 +
    1/4 is 0.0028125; its root times 2.776445, the 97.5% point of t with 4 degrees of freedom in
    any table, is 0.147243."""
    found = corrected(FIVE, 0.25)
    assert found.error == pytest.approx(math.sqrt(0.0028125))
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (0.702757, 0.997243), abs=1e-6
    )
    assert corrected(FIVE, 0.25, 0.0, 0.99).interval.high == 0.99


def test_folds_are_summed_up_and_missing_ones_named() -> None:
    (group,) = summaries([fold_run(0, 0.8), fold_run(1, 0.9)])
    (one,) = group.suites
    assert (one.folds, one.found, one.runs, one.missing) == (3, 2, 2, [(7, 2)])
    assert (one.base, one.mean, one.least, one.greatest) == pytest.approx((0.425, 0.85, 0.8, 0.9))
    assert one.deviation == pytest.approx(0.1 / math.sqrt(2))
    assert one.error == pytest.approx(0.1 / math.sqrt(2) * math.sqrt(1 / 2 + 100 / 400))


def test_repeated_k_fold_counts_the_runs_of_all_seeds() -> None:
    (group,) = summaries(
        [fold_run(n, 0.8 + n / 10, seed) for seed in (7, 8) for n in range(3)][:-1]
    )
    (one,) = group.suites
    assert (one.found, one.runs, one.missing) == (3, 5, [(8, 2)])


def test_runs_that_differ_otherwise_are_not_mixed() -> None:
    runs = [fold_run(n, 0.8, rate=rate) for rate in (0.1, 0.2) for n in range(3)]
    assert [(one.different, one.runs) for one in summaries([*runs, fold_run(0, 0.1, rate=3)])] == [
        ({"rate": 0.1}, ["7-0", "7-1", "7-2"]),
        ({"rate": 0.2}, ["7-0", "7-1", "7-2"]),
    ]


def test_one_is_one_however_it_is_written() -> None:
    (group,) = summaries([fold_run(0, 0.8, rate=1), fold_run(1, 0.9, rate=1.0)])
    assert group.runs == ["7-0", "7-1"]


def test_runs_without_folds_are_no_folds() -> None:
    assert summaries([fold_run(0, 0.8, **{FOLDS: 0, FOLD: n}) for n in (0, 1)]) == []
