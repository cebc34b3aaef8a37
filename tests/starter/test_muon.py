"""Muon in float32 makes the steps of torch.optim.Muon."""

import pytest
import torch

from lockstep.starter.muon import Muon, orthogonalize


def test_steps_equal_those_of_torch_up_to_bfloat16_rounding():
    """The reference torch.optim.Muon computes in bfloat16, with two to three decimal digits."""
    shapes = [(8, 8), (8, 8), (24, 8), (8, 24)]
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    parameters = [torch.nn.Parameter(matrix.clone()) for matrix in start]
    references = [torch.nn.Parameter(matrix.clone()) for matrix in start]
    optimizers = [Muon(parameters, lr=0.1), torch.optim.Muon(references, lr=0.1, weight_decay=0.0)]
    for _ in range(3):
        for pair in zip(parameters, references, strict=True):
            gradient = torch.randn(pair[0].shape, generator=generator)
            for matrix in pair:
                matrix.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    for before, parameter, reference in zip(start, parameters, references, strict=True):
        step, expected = parameter.detach() - before, reference.detach() - before
        assert (step - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize("rows", [4, 16])
def test_singular_values_are_near_one(rows: int):
    """torch.optim.Muon documents about 0.5 to 1.5 for the same coefficients."""
    matrices = torch.randn(3, rows, 32, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalize(matrices))
    assert values.min() > 0.5 and values.max() < 1.5


def test_a_matrix_without_gradient_or_with_a_zero_gradient_stays_the_same():
    with_zero_gradient, without_gradient = (torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2))
    with_zero_gradient.grad = torch.zeros(2, 3)
    Muon([with_zero_gradient, without_gradient], lr=1.0).step()
    assert torch.equal(with_zero_gradient.detach(), torch.ones(2, 3))
    assert torch.equal(without_gradient.detach(), torch.ones(2, 3))
