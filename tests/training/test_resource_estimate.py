"""The estimate before the first step agrees with the trainer."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.compute import LaunchParams
from lockstep.training.memory import Memory, MemoryPool
from lockstep.training.resource_estimate import ResourceEstimate, estimate_resources

pytestmark = pytest.mark.slow


def make_estimate(needed: Memory, available: int) -> ResourceEstimate:
    pools = [MemoryPool("device", needed, available)]
    return ResourceEstimate(
        rows=1, skipped_rows=0, tokens=1, steps=1, padding=0.0, pools=pools, checkpoint_bytes=1
    )


def test_the_estimate_equals_the_sizes_of_the_model(
    make_launch: Callable[..., LaunchParams], run_training: Callable[..., Any]
):
    trainer = run_training(strategy="full", epochs=0.1)
    estimate = estimate_resources(trainer, trainer.plan, make_launch())
    needed = estimate.pools[0].needed
    parameters = sum(p.numel() for p in trainer.model.parameters())
    assert needed.gradients == 4 * parameters
    assert needed.optimizer == 8 * parameters
    assert estimate.checkpoint_bytes == 12 * parameters
    assert needed.weights == 4 * parameters, "the output layer and the embeddings share one matrix"
    assert (estimate.rows, estimate.steps) == (12, 1)
    assert 0 <= estimate.padding < 0.5
    assert estimate.tokens == sum(trainer.plan.train_rows.lengths)
    states = trainer.optimizer.state_dict()["state"].values()
    optimizer_bytes = sum(
        t.numel() * 4 for state in states for n, t in state.items() if n != "step"
    )
    assert optimizer_bytes == needed.optimizer


@pytest.mark.parametrize(
    ("memory", "remedy"),
    [
        ((1, 1, 1, 9), "set train.activation_checkpointing, or lower train.batch_size"),
        ((1, 4, 8, 1), "set train.strategy to lora, or train.optimizer to paged_adamw_8bit"),
        (
            (9, 1, 1, 1),
            "set train.strategy to qlora and train.precision to bf16, or use a smaller base",
        ),
    ],
)
def test_a_training_that_does_not_fit_is_refused_with_a_remedy(
    make_launch: Callable[..., LaunchParams],
    make_plan: Callable[..., Any],
    memory: tuple[int, ...],
    remedy: str,
):
    names = ("weights", "gradients", "optimizer", "activations")
    needed = Memory(**{n: part * 10**9 for n, part in zip(names, memory, strict=True)})
    make_estimate(needed, needed.total).check_memory(make_plan(), make_launch())
    with pytest.raises(UserError, match=f"the device has .*; {remedy}"):
        make_estimate(needed, needed.total - 1).check_memory(make_plan(), make_launch())
