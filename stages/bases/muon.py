"""Muon in 32 bits, all matrices of one shape at once.

torch.optim.Muon computes in bfloat16: without the instructions for it, as on most CPUs, that is
the slowest part of a training step by far.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonalized(matrices: torch.Tensor) -> torch.Tensor:
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
    """Momentum whose step is orthogonalized; numerically torch.optim.Muon, for 2-D parameters."""

    def __init__(
        self, matrices: Iterable[torch.nn.Parameter], lr: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # never a loss again
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                alike[_wide(matrix).shape].append(matrix)
            for matrices in alike.values():
                self._move(matrices, group["lr"], group["momentum"])

    def _move(self, matrices: list[torch.Tensor], lr: float, momentum: float) -> None:
        gradients = torch.stack([_wide(m.grad) for m in matrices if m.grad is not None])
        state = self.state[matrices[0]]
        average = state.setdefault("average", torch.zeros_like(gradients))
        average.lerp_(gradients, 1 - momentum)
        steps = orthogonalized(gradients.lerp(average, momentum))
        for matrix, step in zip(matrices, steps, strict=True):
            rows, columns = matrix.shape
            _wide(matrix).add_(step, alpha=-lr * max(1, rows / columns) ** 0.5)


def _wide(matrix: torch.Tensor) -> torch.Tensor:
    """A view with no more rows than columns."""
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
