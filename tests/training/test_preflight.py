"""What is told before the first step, held against the trainer."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.compute import Launch
from lockstep.training import preflight
from lockstep.training.memory import Memory, Place
from lockstep.training.preflight import Preflight

pytestmark = pytest.mark.slow


def ahead(memory: Memory, available: int) -> Preflight:
    places = [Place("device", memory, available)]
    return Preflight(rows=1, tokens=1, steps=1, padding=0.0, places=places, checkpoint=1)


def test_parts_are_those_of_the_model(launch: Callable[..., Launch], trained: Callable[..., Any]):
    trainer = trained(strategy="full", epochs=0.1)
    ahead = preflight.look_ahead(trainer, trainer.plan, launch())
    memory = ahead.places[0].memory
    parameters = sum(p.numel() for p in trainer.model.parameters())
    assert memory.gradients == 4 * parameters
    assert memory.optimizer == 8 * parameters
    assert ahead.checkpoint == 12 * parameters
    assert memory.weights == 4 * parameters, "the output layer has the matrix of the embeddings"
    assert (ahead.rows, ahead.steps) == (12, 1)
    assert 0 <= ahead.padding < 0.5
    assert ahead.tokens == sum(trainer.plan.train.lengths)
    state = trainer.optimizer.state_dict()["state"].values()
    averages = sum(t.numel() * 4 for one in state for n, t in one.items() if n != "step")
    assert averages == memory.optimizer


@pytest.mark.parametrize(
    ("memory", "remedy"),
    [
        ((1, 1, 1, 9), "set train.activation_checkpointing, or lower train.batch_size"),
        ((1, 4, 8, 1), "take train.strategy lora, or train.optimizer paged_adamw_8bit"),
        ((9, 1, 1, 1), "take train.strategy qlora, precision bf16, or a smaller base"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_change(
    launch: Callable[..., Launch], plan: Callable[..., Any], memory: tuple[int, ...], remedy: str
):
    names = ("weights", "gradients", "optimizer", "activations")
    parts = Memory(**{n: part * 10**9 for n, part in zip(names, memory, strict=True)})
    ahead(parts, parts.total).refuse(plan(), launch())
    with pytest.raises(UserError, match=f"the device has .*; {remedy}"):
        ahead(parts, parts.total - 1).refuse(plan(), launch())
