import pytest
import torch

from lockstep.starter.muon import Muon, orthogonalize


def test_steps_are_those_of_torch_up_to_its_bfloat16():
    """torch.optim.Muon is the reference; its bfloat16 has two to three decimal digits."""
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
    """As torch.optim.Muon says of the same coefficients: about between 0.5 and 1.5."""
    matrices = torch.randn(3, rows, 32, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalize(matrices))
    assert values.min() > 0.5 and values.max() < 1.5


def test_a_matrix_without_a_gradient_or_with_none_but_zeros_stays():
    still, idle = (torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2))
    still.grad = torch.zeros(2, 3)
    Muon([still, idle], lr=1.0).step()
    assert torch.equal(still.detach(), torch.ones(2, 3))
    assert torch.equal(idle.detach(), torch.ones(2, 3))
