"""The Muon optimizer in float32, which updates all matrices of one shape at once.

torch.optim.Muon computes in bfloat16. On a CPU without bf16 instructions that is by far the
slowest part of a training step.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic Newton-Schulz iteration, as in torch.optim.Muon."""
ITERATIONS = 5
MOMENTUM = 0.95


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """Return approximately U Vᵀ for each matrix U S Vᵀ.

    The shape is (n, rows, columns) with rows <= columns. This is the quintic Newton-Schulz
    iteration of Jordan et al. (2024), after which all singular values are near 1.
    """
    a, b, c = COEFFICIENTS
    result = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = result @ result.mT
        result = torch.baddbmm(
            result, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), result, beta=a
        )
    return result


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon without weight decay and in float32: orthogonalized Nesterov momentum."""

    def __init__(self, matrices: Iterable[torch.nn.Parameter], lr: float) -> None:
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[_transpose_tall(matrix).shape].append(matrix)
            for matrices in by_shape.values():
                updates = torch.stack(
                    [_transpose_tall(self._update_momentum(matrix)) for matrix in matrices]
                )
                for matrix, update in zip(matrices, orthogonalize(updates), strict=True):
                    rows, columns = matrix.shape
                    scale = max(1, rows / columns) ** 0.5
                    _transpose_tall(matrix).add_(update, alpha=-group["lr"] * scale)

    def _update_momentum(self, matrix: torch.Tensor) -> torch.Tensor:
        """Add the gradient to the matrix's momentum and return the Nesterov update."""
        momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
        momentum.lerp_(matrix.grad, 1 - MOMENTUM)
        return torch.lerp(matrix.grad, momentum, MOMENTUM)  # type: ignore[arg-type]  # it has a gradient


def _transpose_tall(matrix: torch.Tensor) -> torch.Tensor:
    """Return a view of the matrix that has no more rows than columns."""
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
