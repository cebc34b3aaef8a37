"""Estimates held against what torch really keeps."""
# ruff: noqa: E501 - tables, one case a line

import copy
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.compute import Launch
from lockstep.training import memory
from lockstep.training.memory import Memory

pytestmark = pytest.mark.slow

PARTS = Memory(weights=80, gradients=160, optimizer=240, activations=8)


def size(batch: dict[str, Any]) -> int:
    """Numbers in its tensors."""
    return sum(part.numel() for part in batch.values() if hasattr(part, "numel"))


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
    batch = max(batches, key=size)
    trainer.model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    return sum(found.values())


@pytest.mark.parametrize(
    ("objective", "strategy"),
    [
        ("sft", "full"),
        ("sft", "lora"),
        ("dpo", "lora"),
        ("kto", "lora"),
        ("orpo", "lora"),
        ("simpo", "full"),
        ("reward", "lora"),
    ],
)
def test_activations_are_estimated_within_a_factor_of_two(
    trained: Callable[..., Any], objective: str, strategy: str
):
    same = {"strategy": strategy, "epochs": 0.1, "dropout": {}, "batch_size": 4}
    trainer = trained(objective=objective, **same)
    estimate = memory.activations(trainer.model.config, trainer.plan)
    assert 0.5 < estimate / kept(trainer) < 2


def test_the_reference_of_full_preference_tuning_is_counted(
    launch: Callable[..., Launch], trained: Callable[..., Any]
):
    whole = trained(objective="dpo", strategy="full", epochs=0.1)
    parameters = whole.model.num_parameters()
    place, *_ = memory.places(memory.needed(whole, whole.plan), launch(), "cpu")
    assert place.memory.weights == 2 * 4 * parameters
    adapted = trained("other", objective="dpo", strategy="lora", epochs=0.1)
    place, *_ = memory.places(memory.needed(adapted, adapted.plan), launch(), "cpu")
    assert place.memory.weights < 1.5 * 4 * parameters


def test_weights_that_fill_the_device_are_refused_unread(
    launch: Callable[..., Launch], plan: Callable[..., Any], tiny: Path, tmp_path: Path
):
    memory.check_weights(tiny, plan(), launch(), "cpu")
    size = 4 * 10**12  # a file with a hole: no disk holds it, and only its header is read
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, size]}}
    ).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, 8 + len(header) + size)
    with pytest.raises(
        UserError, match=r"1000\.0 billion parameters need 4000\.0 GB for train\.strat"
    ):
        memory.check_weights(tmp_path, plan(), launch(), "cpu")


def test_logits_that_are_computed_in_tiles_are_not_counted(plan: Callable[..., Any], loaded: Any):
    """TRL's chunked_logprob; ORPO and SimPO hold those of every token."""
    more = copy.deepcopy(loaded.config)
    more.vocab_size *= 50
    for objective, held in {"dpo": False, "kto": False, "orpo": True, "simpo": True}.items():
        drawn = plan(objective=objective)
        wide, narrow = (memory.activations(config, drawn) for config in (more, loaded.config))
        assert (wide > narrow) is held, objective


@pytest.mark.parametrize(
    ("changes", "copies"),
    [
        ({"objective": "dpo", "strategy": "full"}, 2),
        ({"objective": "dpo", "strategy": "lora"}, 1),
        ({"objective": "kto", "strategy": "freeze"}, 2),
        ({"objective": "dpo", "strategy": "full", "options": {"precompute_ref_log_probs": True}}, 1),
        ({"objective": "grpo", "strategy": "full", "options": {"num_generations": 4}}, 1),
        ({"objective": "grpo", "strategy": "full", "options": {"num_generations": 4, "beta": 0.1}}, 2),
        ({"objective": "sft", "strategy": "full"}, 1),
    ],
    ids=str,
)  # fmt: skip
def test_a_copy_of_the_model_is_foreseen_where_there_will_be_one(
    trained: Callable[..., Any], changes: dict[str, Any], copies: int
):
    """Before it is loaded, and as the library then has it."""
    trainer = trained(epochs=0.1, evaluation_tokens=4, **changes)
    assert memory._has_reference(trainer.plan) == (copies == 2)
    assert (getattr(trainer, "ref_model", None) is not None) == (copies == 2)


def test_a_machine_must_hold_what_each_of_its_processes_loads(
    launch: Callable[..., Launch],
    plan: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tiny: Path,
):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (10**15, 10**15))
    monkeypatch.setattr(memory, "_parameters", lambda base: 10**11)
    eight = {"processes": 8, "strategy": "fsdp"}
    with pytest.raises(
        UserError,
        match=r"400\.0 GB .* and the machine has .*; share it among more machines, or take",
    ):
        memory.check_weights(tiny, plan(strategy="full"), launch(**eight), "cuda")
    parts = {**eight, "strategy": "deepspeed", "zero_stage": 3}
    memory.check_weights(tiny, plan(strategy="full"), launch(**parts), "cuda")


def test_processes_of_one_machine_share_its_memory(
    launch: Callable[..., Launch],
):
    alone = memory.places(PARTS, launch(), "cpu")[0].available
    assert memory.places(PARTS, launch(processes=4), "cpu")[0].available < alone / 2


@pytest.mark.parametrize(
    ("changes", "device", "machine"),
    [
        ({"strategy": "ddp"}, (80, 160, 240, 8), None),
        ({"strategy": "fsdp"}, (10, 20, 30, 8), None),
        ({"strategy": "deepspeed", "zero_stage": 2}, (80, 20, 30, 8), None),
        ({"strategy": "deepspeed", "zero_stage": 3}, (10, 20, 30, 8), None),
        ({"strategy": "fsdp", "offload": True}, (0, 0, 0, 8), (10, 20, 30, 0)),
        ({"strategy": "deepspeed", "zero_stage": 2, "offload": True}, (80, 0, 0, 8), (0, 20, 30, 0)),
    ],
    ids=str,
)  # fmt: skip
def test_what_eight_processes_share_out(
    launch: Callable[..., Launch],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    device: tuple[int, ...],
    machine: tuple[int, ...] | None,
):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (1, 1))
    found = memory.places(PARTS, launch(processes=8, **changes), "cuda")
    assert [place.name for place in found] == ["device", "machine"][: len(found)]
    assert [tuple(asdict(place.memory).values()) for place in found] == [
        parts for parts in (device, machine) if parts
    ]
