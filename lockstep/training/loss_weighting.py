"""Weights of the tasks' losses: fixed, trained, or computed from past losses. Imports torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch


class TaskWeights(torch.nn.Module):
    """Base class: sums the token losses of a batch, weighted by the task of each row."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = list(tasks)

    def forward(self, losses: Any, tasks: Any) -> Any:
        """Return the weighted sum of `losses` (rows, tokens).

        `tasks` (rows,) holds the index of each row's task in `self.tasks`.
        """
        raise NotImplementedError

    def end_epoch(self) -> None:
        """Update the weights between two epochs."""


class FixedWeights(TaskWeights):
    """A constant weight per task; 1 for tasks without an entry."""

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float]) -> None:
        super().__init__(tasks)
        self.weights = torch.tensor([weights.get(task, 1.0) for task in tasks])

    def forward(self, losses: Any, tasks: Any) -> Any:
        """Return the weighted sum of the losses."""
        return (losses.sum(1) * self.weights.to(losses.device)[tasks]).sum()


class UncertaintyWeights(TaskWeights):
    """Multiplies the loss by exp(-s) and adds s / 2, with a trained s for each task.

    s is the logarithm of the task's noise variance (Kendall, Gal and Cipolla, 2018, equation 7;
    exp(-s) as for a classification).
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.log_variance = torch.nn.Parameter(torch.zeros(len(tasks)))

    def forward(self, losses: Any, tasks: Any) -> Any:
        """Return the sum of exp(-s) times the loss, plus s / 2 per answer token."""
        s, tokens = self.log_variance.to(losses.device)[tasks], (losses != 0).sum(1)
        return (torch.exp(-s) * losses.sum(1) + s / 2 * tokens).sum()


class LossRatioWeights(TaskWeights):
    """Gives more weight to tasks whose loss fell less in the last epoch.

    This is dynamic weight average (Liu, Johns and Davison, 2019): K times the softmax over the K
    tasks of L(t-1) / L(t-2) / T with T = 2. The weights are 1 in the first two epochs.
    """

    TEMPERATURE = 2.0

    sums: Any
    tokens: Any
    last_mean: Any

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        for name in ("sums", "tokens", "last_mean"):
            self.register_buffer(name, torch.zeros(len(tasks), dtype=torch.float64))
        self.register_buffer("weights", torch.ones(len(tasks)))

    def forward(self, losses: Any, tasks: Any) -> Any:
        """Return the weighted sum of the losses, and add them to the epoch's mean loss per task."""
        detached = losses.detach()
        self.sums.index_add_(0, tasks, detached.sum(1).double())
        self.tokens.index_add_(0, tasks, (detached != 0).sum(1).double())
        return (losses.sum(1) * self.weights.to(losses.device)[tasks]).sum()

    def end_epoch(self) -> None:
        """Set the weights from the mean losses of the last two epochs."""
        mean = self.sums / self.tokens.clamp(min=1)
        if bool((self.last_mean > 0).all()):
            ratios = mean / self.last_mean / self.TEMPERATURE
            self.weights = (len(self.tasks) * ratios.softmax(0)).float()
        self.last_mean = mean
        self.sums, self.tokens = torch.zeros_like(mean), torch.zeros_like(mean)


def create_task_weights(
    weighting: str, tasks: Sequence[str], weights: Mapping[str, float]
) -> TaskWeights | None:
    """Return the task weights of `train.sft.weighting`; None if all tokens have equal weight."""
    if weighting == "uncertainty":
        return UncertaintyWeights(tasks)
    if weighting == "loss_ratio":
        return LossRatioWeights(tasks)
    return FixedWeights(tasks, weights) if weights else None
