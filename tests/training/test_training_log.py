from pathlib import Path

import pytest

from lockstep.errors import UserError
from lockstep.training import training_log
from lockstep.training.divergence import refuse_divergence

HISTORY = [
    {"step": 2, "epoch": 0.5, "loss": 2.5, "learning_rate": 1e-3, "grad_norm": 0.25},
    {"step": 2, "epoch": 0.5, "eval_loss": 2.25, "eval_runtime": 9.9},
    {"step": 3, "epoch": 1.0, "eval_loss": 2.0, "eval_rewards/accuracies": 0.75},
]


def test_log_has_a_row_for_each_step_logged_or_evaluated(tmp_path: Path):
    training_log.write(HISTORY, tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_bytes().decode().split("\n") == [
        "step,epoch,loss,validation_loss,learning_rate,grad_norm,validation_accuracy",
        "2,0.5,2.5,2.25,0.001,0.25,",
        "3,1.0,,2,,,0.75",
        "",
    ]


def test_evaluations_by_our_names():
    assert training_log.evaluations(HISTORY) == [
        (2, {"loss": 2.25}),
        (3, {"loss": 2.0, "accuracy": 0.75}),
    ]
    assert training_log.losses(HISTORY) == [2.5]


@pytest.mark.parametrize("name", ["loss", "grad_norm", "eval_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_is_not_finite_is_refused(name: str, value: float):
    refuse_divergence({name: 1e30, "epoch": 1.0}, 3, "sft")
    with pytest.raises(UserError, match=rf"{name} (nan|inf) at step 3; lower train\.learning_rate"):
        refuse_divergence({name: value}, 3, "dpo")


def test_a_gradient_of_nothing_is_refused_where_text_is_learnt():
    """Rewards that are all alike give GRPO none, which is no sign of ruin."""
    with pytest.raises(UserError, match="no gradient is left at step 3"):
        refuse_divergence({"loss": 5.7, "grad_norm": 0.0}, 3, "sft")
    refuse_divergence({"loss": 0.0, "grad_norm": 0.0}, 3, "grpo")
