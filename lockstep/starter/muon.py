"""Muon in 32 bits, all matrices of one shape, or of its transpose, at once.

torch.optim.Muon computes in bfloat16: on a CPU without instructions for it that is the slowest
part of a training step by far.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """Nearly U Vᵀ of each U S Vᵀ: (n, rows, columns) to the same shape, rows <= columns.

    The quintic Newton-Schulz iteration of Jordan et al. (2024), singular values near 1 at the end.
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
    """Nesterov momentum, then orthogonalized: torch.optim.Muon without weight decay, in 32 bits."""

    def __init__(self, matrices: Iterable[torch.nn.Parameter], lr: float) -> None:
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[_wide(matrix).shape].append(matrix)
            for matrices in alike.values():
                wanted = torch.stack([_wide(self._with_momentum(matrix)) for matrix in matrices])
                for matrix, step in zip(matrices, orthogonalize(wanted), strict=True):
                    rows, columns = matrix.shape
                    scale = max(1, rows / columns) ** 0.5
                    _wide(matrix).add_(step, alpha=-group["lr"] * scale)

    def _with_momentum(self, matrix: torch.Tensor) -> torch.Tensor:
        average = self.state[matrix].setdefault("average", torch.zeros_like(matrix))
        average.lerp_(matrix.grad, 1 - MOMENTUM)
        return torch.lerp(matrix.grad, average, MOMENTUM)  # type: ignore[arg-type]  # it has one


def _wide(matrix: torch.Tensor) -> torch.Tensor:
    """A view with no more rows than columns."""
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
