"""Estimates held against what torch really keeps."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.errors import Refusal
from stages.learning import preflight
from stages.learning.preflight import Memory, Preflight

pytestmark = pytest.mark.slow


def kept(trainer: Any) -> int:
    """Bytes of all tensors that autograd keeps for the backward pass of the longest batch."""
    import torch

    found: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in trainer.model.parameters()}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    batches = list(trainer.get_train_dataloader())
    batch = max(batches, key=lambda one: one["input_ids"].numel())
    trainer.model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    return sum(found.values())


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_activations_are_estimated_within_a_factor_of_two(
    trained: Callable[..., Any], plan: Callable[..., Any], strategy: str
):
    same = {"strategy": strategy, "epochs": 0.1, "dropout": {}, "batch_size": 4}
    trainer = trained(**same)
    estimate = preflight.activations(trainer.model.config, trainer.plan)
    assert 0.5 < estimate / kept(trainer) < 2


def test_parts_are_those_of_the_model(trained: Callable[..., Any]):
    trainer = trained(strategy="full", epochs=0.1)
    ahead = preflight.look_ahead(trainer, trainer.plan)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    assert ahead.memory.gradients == 4 * parameters
    assert ahead.memory.optimizer == 8 * parameters
    assert ahead.checkpoint == 12 * parameters
    assert ahead.memory.weights >= 4 * parameters
    assert (ahead.rows, ahead.steps) == (12, 1)
    assert 0 <= ahead.padding < 0.5
    assert ahead.tokens == sum(trainer.plan.train.lengths)
    state = trainer.optimizer.state_dict()["state"].values()
    averages = sum(t.numel() * 4 for one in state for n, t in one.items() if n != "step")
    assert averages == ahead.memory.optimizer


def ahead(memory: Memory, available: int) -> Preflight:
    return Preflight(
        rows=1, tokens=1, steps=1, padding=0.0, memory=memory, available=available, checkpoint=1
    )


@pytest.mark.parametrize(
    ("memory", "remedy"),
    [
        ((1, 1, 1, 9), "set train.activation_checkpointing, or lower train.batch_size"),
        ((1, 4, 8, 1), "take train.strategy lora, or train.optimizer paged_adamw_8bit"),
        ((9, 1, 1, 1), "take train.strategy qlora, or a smaller base"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_change(
    plan: Callable[..., Any], memory: tuple[int, ...], remedy: str
):
    names = ("weights", "gradients", "optimizer", "activations")
    parts = Memory(**{n: part * 10**9 for n, part in zip(names, memory, strict=True)})
    ahead(parts, parts.total).refuse(plan())
    with pytest.raises(Refusal, match=f"the device has .*; {remedy}"):
        ahead(parts, parts.total - 1).refuse(plan())


def test_weights_that_fill_the_device_are_refused_unread(
    plan: Callable[..., Any], tiny: Path, tmp_path: Path
):
    preflight.check_weights(tiny, plan(), "cpu")
    size = 4 * 10**12  # a file with a hole: no disk holds it, and only its header is read
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, size]}}
    ).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, 8 + len(header) + size)
    with pytest.raises(
        Refusal, match=r"1000\.0 billion parameters need 4000\.0 GB for train\.strat"
    ):
        preflight.check_weights(tmp_path, plan(), "cpu")


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch):
    import torch

    alone = preflight._available(torch.device("cpu"))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert preflight._available(torch.device("cpu")) < alone / 2
