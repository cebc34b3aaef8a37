"""Task weights agree with numbers computed by hand from the papers' formulas."""

import math

import pytest
import torch

from lockstep.training import loss_weighting

LOSSES = torch.tensor([[1.0, 2.0], [4.0, 0.0], [8.0, 8.0]])
"""Losses of rows with two tokens; 0 marks a token that the loss ignores."""
TASKS = torch.tensor([0, 1, 1])


def test_fixed_weights_multiply_the_loss_of_each_row():
    weights = loss_weighting.FixedWeights(["a", "b"], {"b": 0.5})
    assert weights(LOSSES, TASKS).item() == 3 + 0.5 * 20


def test_uncertainty_weighting_equals_the_formula_of_the_paper():
    weights = loss_weighting.UncertaintyWeights(["a", "b"])
    assert weights(LOSSES, TASKS).item() == 23
    with torch.no_grad():
        weights.log_variance.copy_(torch.tensor([1.0, -1.0]))
    reference = math.exp(-1) * 3 + 2 * 0.5 + math.exp(1) * 20 - 3 * 0.5
    assert weights(LOSSES, TASKS).item() == pytest.approx(reference)


def test_uncertainty_weighting_has_its_minimum_at_the_loss():
    """exp(-s) L + s / 2 has its minimum where exp(s) = 2 L, so the gradient is 0 there."""
    weights = loss_weighting.UncertaintyWeights(["a"])
    with torch.no_grad():
        weights.log_variance.fill_(math.log(2 * 3.0))
    weights(torch.full((1, 4), 3.0), torch.tensor([0])).backward()
    assert weights.log_variance.grad is not None
    assert weights.log_variance.grad.item() == pytest.approx(0, abs=1e-5)


def test_loss_ratio_weights_are_a_softmax_over_the_last_two_epochs():
    weights = loss_weighting.LossRatioWeights(["a", "b"])
    for a, b in ((4.0, 4.0), (2.0, 4.0)):  # the loss of a falls by half, that of b does not fall
        assert weights(torch.tensor([[a], [b]]), torch.tensor([0, 1])).item() == a + b
        weights.end_epoch()
    ratios = torch.tensor([0.5 / 2, 1.0 / 2])
    torch.testing.assert_close(weights.weights, 2 * ratios.softmax(0))
    equal_weights = weights(torch.tensor([[1.0], [1.0]]), torch.tensor([0, 1]))
    assert equal_weights.item() == pytest.approx(2.0)


def test_equal_weights_need_no_object():
    assert loss_weighting.create_task_weights("fixed", ["a"], {}) is None
    assert isinstance(
        loss_weighting.create_task_weights("fixed", ["a"], {"a": 2.0}), loss_weighting.FixedWeights
    )
    assert isinstance(
        loss_weighting.create_task_weights("uncertainty", ["a"], {}),
        loss_weighting.UncertaintyWeights,
    )
    assert isinstance(
        loss_weighting.create_task_weights("loss_ratio", ["a"], {}), loss_weighting.LossRatioWeights
    )
