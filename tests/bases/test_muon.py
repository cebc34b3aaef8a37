import pytest
import torch

from stages.bases.muon import Muon, orthogonalized


def test_steps_are_those_of_torch_up_to_its_bfloat16():
    """torch.optim.Muon is the reference; its bfloat16 has three significant digits."""
    shapes = [(8, 8), (8, 8), (24, 8), (8, 24)]
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=draw) for shape in shapes]
    ours = [torch.nn.Parameter(matrix.clone()) for matrix in start]
    theirs = [torch.nn.Parameter(matrix.clone()) for matrix in start]
    optimizers = [Muon(ours, lr=0.1), torch.optim.Muon(theirs, lr=0.1, weight_decay=0.0)]
    for _ in range(3):
        for pair in zip(ours, theirs, strict=True):
            gradient = torch.randn(pair[0].shape, generator=draw)
            for matrix in pair:
                matrix.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    for before, our, their in zip(start, ours, theirs, strict=True):
        ours_moved, theirs_moved = our.detach() - before, their.detach() - before
        assert (ours_moved - theirs_moved).norm() < 0.03 * theirs_moved.norm()


@pytest.mark.parametrize("rows", [4, 16])
def test_singular_values_come_near_to_one(rows: int):
    """Jordan et al. (2024): between 0.7 and 1.2 for all but the smallest values."""
    matrices = torch.randn(3, rows, 32, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalized(matrices))
    assert values.min() > 0.6 and values.max() < 1.25


def test_a_matrix_without_gradient_signal_stays_finite():
    still = torch.nn.Parameter(torch.ones(2, 3))
    still.grad = torch.zeros(2, 3)
    Muon([still], lr=1.0).step()
    assert torch.equal(still.detach(), torch.ones(2, 3))
