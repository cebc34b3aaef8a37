"""A training that diverges is stopped at the first sign of it."""

import pytest

from lockstep.errors import UserError
from lockstep.training.step_callback import check_divergence


@pytest.mark.parametrize("name", ["loss", "grad_norm", "eval_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_not_finite_is_refused(name: str, value: float):
    check_divergence({name: 1e30, "epoch": 1.0}, 3, "sft")
    with pytest.raises(UserError, match=rf"{name} (nan|inf) at step 3; lower train\.learning_rate"):
        check_divergence({name: value}, 3, "dpo")


def test_a_gradient_of_zero_is_refused_under_sft_only():
    """GRPO has no gradient when all rewards are equal; that is not a divergence."""
    with pytest.raises(UserError, match="the gradient is 0 at step 3"):
        check_divergence({"loss": 5.7, "grad_norm": 0.0}, 3, "sft")
    check_divergence({"loss": 0.0, "grad_norm": 0.0}, 3, "grpo")
