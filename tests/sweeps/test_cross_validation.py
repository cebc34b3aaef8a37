"""Folds are summarized with the corrected interval of Nadeau and Bengio."""

import math

import pytest

from lockstep.sweeps.cross_validation import estimate_spread, summarize_folds
from lockstep.sweeps.experiments import FOLD, FOLDS, FRACTION, SEED, Run, RunMetrics

VALUES = [0.8, 0.9, 0.85, 0.95, 0.75]


def make_run(fold: int, value: float, seed: int = 7, **changed: object) -> Run:
    """Return a run on one of 3 folds, with 100 test records and 400 training records."""
    metrics = {
        "base": {"intent": {"accuracy": value / 2}},
        "merged": {"intent": {"accuracy": value}},
        "data": {"train": 400, "test": 100},
        "train": {"loss": 0.1, "validation_loss": 0.3},
    }
    inputs = {FRACTION: 1.0, FOLDS: 3, FOLD: fold, SEED: seed, **changed}
    return Run(f"{seed}-{fold}", inputs, RunMetrics.model_validate(metrics))


def test_the_interval_is_that_of_nadeau_and_bengio() -> None:
    """Compare with a calculation by hand.

    The squared deviations add up to 0.025, so the variance is 0.00625. Multiplied by 1/5 + 1/4 it
    is 0.0028125. Its root times 2.776445 (the 97.5% point of t with 4 degrees of freedom) is
    0.147243.
    """
    spread = estimate_spread(VALUES, 0.25)
    assert spread.standard_error == pytest.approx(math.sqrt(0.0028125))
    assert (spread.interval.low, spread.interval.high) == pytest.approx(
        (0.702757, 0.997243), abs=1e-6
    )
    assert estimate_spread(VALUES, 0.25, 0.0, 0.99).interval.high == 0.99


def test_folds_are_summed_up_and_missing_folds_named() -> None:
    (group,) = summarize_folds([make_run(0, 0.8), make_run(1, 0.9)])
    (summary,) = group.suites
    assert (summary.folds, summary.folds_run, summary.runs, summary.missing) == (3, 2, 2, [(7, 2)])
    assert (summary.base, summary.mean, summary.minimum, summary.maximum) == pytest.approx(
        (0.425, 0.85, 0.8, 0.9)
    )
    assert summary.standard_deviation == pytest.approx(0.1 / math.sqrt(2))
    assert summary.standard_error == pytest.approx(
        0.1 / math.sqrt(2) * math.sqrt(1 / 2 + 100 / 400)
    )


def test_repeated_k_fold_counts_the_runs_of_all_seeds() -> None:
    (group,) = summarize_folds(
        [make_run(n, 0.8 + n / 10, seed) for seed in (7, 8) for n in range(3)][:-1]
    )
    (summary,) = group.suites
    assert (summary.folds_run, summary.runs, summary.missing) == (3, 5, [(8, 2)])


def test_runs_with_other_inputs_are_another_group() -> None:
    runs = [make_run(n, 0.8, rate=rate) for rate in (0.1, 0.2) for n in range(3)]
    assert [
        (group.settings, group.runs) for group in summarize_folds([*runs, make_run(0, 0.1, rate=3)])
    ] == [
        ({"rate": 0.1}, ["7-0", "7-1", "7-2"]),
        ({"rate": 0.2}, ["7-0", "7-1", "7-2"]),
    ]


def test_equal_numbers_of_two_types_are_equal_inputs() -> None:
    (group,) = summarize_folds([make_run(0, 0.8, rate=1), make_run(1, 0.9, rate=1.0)])
    assert group.runs == ["7-0", "7-1"]


def test_runs_without_folds_have_no_summary() -> None:
    assert summarize_folds([make_run(0, 0.8, **{FOLDS: 0, FOLD: n}) for n in (0, 1)]) == []
