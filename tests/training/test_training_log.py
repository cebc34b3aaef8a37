"""log.csv, the best evaluation, and early stopping, on a literal log."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.training import training_log
from lockstep.training.train_params import EarlyStoppingParams

HISTORY = [
    {"step": 2, "epoch": 0.5, "loss": 2.5, "learning_rate": 1e-3, "grad_norm": 0.25},
    {"step": 2, "epoch": 0.5, "eval_loss": 2.25, "eval_runtime": 9.9},
    {"step": 3, "epoch": 1.0, "eval_loss": 2.0, "eval_rewards/accuracies": 0.75},
]


def make_history(*values: float) -> list[dict[str, Any]]:
    """Return the log of evaluations with these losses."""
    return [{"step": step, "eval_loss": value} for step, value in enumerate(values, 1)]


def test_log_has_a_row_for_each_step_logged_or_evaluated(tmp_path: Path):
    training_log.write_log(HISTORY, tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_bytes().decode().split("\n") == [
        "step,epoch,loss,validation_loss,learning_rate,grad_norm,validation_accuracy",
        "2,0.5,2.5,2.25,0.001,0.25,",
        "3,1.0,,2,,,0.75",
        "",
    ]


def test_evaluations_have_the_names_of_log_csv():
    assert training_log.list_evaluations(HISTORY) == [
        (2, {"loss": 2.25}),
        (3, {"loss": 2.0, "accuracy": 0.75}),
    ]
    assert training_log.list_losses(HISTORY) == [2.5]


@pytest.mark.parametrize(
    ("min_change", "best", "stops"),
    [(0.0, 3, False), (0.05, 3, False), (0.15, 2, True), (0.45, 3, False), (5.0, 0, True)],
)
def test_an_improvement_below_min_change_does_not_count(min_change: float, best: int, stops: bool):
    history = make_history(4.0, 3.5, 3.125, 3.0)  # better by 0.5, 0.375 and 0.125
    stopping = EarlyStoppingParams(patience=1, metric="loss", min_change=min_change)
    assert training_log.find_best_evaluation(history, stopping) == best
    assert training_log.must_stop_early(history, stopping) == stops


def test_small_improvements_add_up():
    """min_change compares with the best evaluation, not with the one before."""
    stopping = EarlyStoppingParams(patience=1, metric="loss", min_change=0.25)
    assert training_log.find_best_evaluation(make_history(4.0, 3.875, 3.7), stopping) == 2


def test_a_metric_other_than_the_loss_must_rise():
    history = [{"step": s, "eval_loss": 1.0, "eval_accuracy": a} for s, a in ((1, 0.5), (2, 0.75))]
    stopping = EarlyStoppingParams(patience=1, metric="accuracy", min_change=0.0)
    assert training_log.find_best_evaluation(history, stopping) == 1


def test_without_patience_nothing_stops_and_the_metric_need_not_be_measured():
    stopping = EarlyStoppingParams(patience=0, metric="accuracy", min_change=0.0)
    assert not training_log.must_stop_early(make_history(1.0, 2.0, 3.0), stopping)
    assert training_log.find_best_evaluation([], stopping) == -1
