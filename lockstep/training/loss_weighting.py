"""How much each task's loss counts. Imports torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch


class TaskWeights(torch.nn.Module):
    """Sums the losses of a batch, each token's times the weight of its row's task."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = list(tasks)

    def forward(self, losses: Any, tasks: Any) -> Any:
        """`losses` (rows, tokens), `tasks` (rows,) as places in `self.tasks`; returns the sum."""
        raise NotImplementedError

    def end_epoch(self) -> None:
        """What changes between two epochs."""


class Fixed(TaskWeights):
    """A weight for each task, 1 where none is named."""

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float]) -> None:
        super().__init__(tasks)
        self.weights = torch.tensor([weights.get(task, 1.0) for task in tasks])

    def forward(self, losses: Any, tasks: Any) -> Any:
        return (losses.sum(1) * self.weights.to(losses.device)[tasks]).sum()


class Uncertainty(TaskWeights):
    """exp(-s) times the loss plus s / 2, with a learnt s for each task.

    s is the logarithm of the task's noise variance (Kendall, Gal and Cipolla, 2018, equation 7;
    exp(-s) as for a classification).
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_variance = torch.nn.Parameter(torch.zeros(len(tasks)))

    def forward(self, losses: Any, tasks: Any) -> Any:
        s, tokens = self.log_variance.to(losses.device)[tasks], (losses != 0).sum(1)
        return (torch.exp(-s) * losses.sum(1) + s / 2 * tokens).sum()


class LossRatio(TaskWeights):
    """Tasks whose loss fell less in the last epoch count more.

    Dynamic weight average (Liu, Johns and Davison, 2019): K times the softmax over the K tasks of
    L(t-1) / L(t-2) / T with T = 2; 1 in the first two epochs.
    """

    TEMPERATURE = 2.0

    sums: Any
    tokens: Any
    last: Any

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        for name in ("sums", "tokens", "last"):
            self.register_buffer(name, torch.zeros(len(tasks), dtype=torch.float64))
        self.register_buffer("weights", torch.ones(len(tasks)))

    def forward(self, losses: Any, tasks: Any) -> Any:
        rows = losses.detach()
        self.sums.index_add_(0, tasks, rows.sum(1).double())
        self.tokens.index_add_(0, tasks, (rows != 0).sum(1).double())
        return (losses.sum(1) * self.weights.to(losses.device)[tasks]).sum()

    def end_epoch(self) -> None:
        mean = self.sums / self.tokens.clamp(min=1)
        if bool((self.last > 0).all()):
            ratios = mean / self.last / self.TEMPERATURE
            self.weights = (len(self.tasks) * ratios.softmax(0)).float()
        self.last = mean
        self.sums, self.tokens = torch.zeros_like(mean), torch.zeros_like(mean)


def choose(kind: str, tasks: Sequence[str], weights: Mapping[str, float]) -> TaskWeights | None:
    """The weights of that kind; None where every token counts alike."""
    if kind == "uncertainty":
        return Uncertainty(tasks)
    if kind == "loss_ratio":
        return LossRatio(tasks)
    return Fixed(tasks, weights) if weights else None
