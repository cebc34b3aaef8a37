"""The memory that a training takes: how much, and where it lies. Imports torch."""

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from lockstep.errors import UserError
from lockstep.models.compute import Launch
from lockstep.training.launch import loads_in_parts, shares_out
from lockstep.training.training_plan import Plan

OPTIMIZER_BYTES = {"8bit": 2, "4bit": 1, "adafactor": 0, "sgd": 0, "lion": 4, "ademamix": 12}
"""State of a trained number by the optimizer's name; 8 for the AdamW family's two averages."""
GB = 1e9

PAIRS = ("dpo", "orpo", "simpo", "reward")
"""Objectives that compute two answers of a row at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes that one process needs."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process keeps them: its device, or the machine where they are offloaded to it."""

    name: str
    memory: Memory
    available: int
    """Bytes that are free, or taken by the weights already."""

    @property
    def lacks(self) -> bool:
        return self.memory.total > self.available

    def __str__(self) -> str:
        memory = self.memory
        return (
            f"about {memory.total / GB:.2f} of {self.available / GB:.1f} GB memory of the "
            f"{self.name}: weights {memory.weights / GB:.2f}, gradients "
            f"{memory.gradients / GB:.2f}, optimizer {memory.optimizer / GB:.2f}, activations "
            f"{memory.activations / GB:.2f}"
        )


def needed(trainer: Any, plan: Plan) -> Memory:
    """Of a trainer that is ready to train, its model not shared out yet."""
    models = [trainer.model, getattr(trainer, "ref_model", None)]
    trained = sum(_numbers(p) for p in trainer.model.parameters() if p.requires_grad)
    return Memory(
        weights=sum(
            _numbers(p) * p.element_size() for m in models if m is not None for p in m.parameters()
        ),
        gradients=trained * 4,
        optimizer=trained * _state_bytes(plan.chosen.optimizer),
        activations=activations(trainer.model.config, plan),
    )


def activations(config: Any, plan: Plan) -> int:
    """Bytes that the backward pass needs of the largest batch.

    After Korthikanti et al. (2022), equation 2: 34 h + 5 a s bytes a token and layer in 16 bits
    (h the width, a the heads, s the tokens of a row), the second term only where attention is
    computed eagerly; a checkpointed layer keeps 2 h. The logits that the loss sees, their
    gradient and their softmax are added in 32 bits: for sft those of the answers, for dpo, kto
    and grpo none, which TRL computes in tiles.
    """
    chosen = plan.chosen
    wide = 1 if chosen.precision in ("bf16", "fp16") else 2
    longest = max(plan.train.lengths)
    packed = chosen.batching == "packed"
    length = chosen.max_length if packed else longest
    rows = chosen.batch_size * (2 if chosen.objective in PAIRS else 1)
    if chosen.objective == "grpo":
        length += chosen.evaluation_tokens  # the answers that it learns from
    tokens = rows * length
    config = config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    attention = 5 * config.num_attention_heads * length
    each = 34 * width + (attention if config._attn_implementation == "eager" else 0)
    kept = layers * 2 * width + each if chosen.activation_checkpointing else layers * each
    scored = {
        "sft": rows * max(row.learnt for row in plan.train.rows),
        "orpo": tokens,
        "simpo": tokens,
    }.get(chosen.objective, 0)
    return tokens * kept * wide + scored * config.vocab_size * 4 * 3


def check_weights(base: Path, plan: Plan, launch: Launch, device: str) -> None:
    """Refuse weights that fill a place by themselves, before they are loaded."""
    chosen, parameters = plan.chosen, _parameters(base)
    wide = 4.0 if chosen.precision == "fp32" else 2.0
    size = {"full": 4.0, "freeze": 4.0, "qlora": 0.55}.get(chosen.strategy, wide)  # 4 bits, scales
    trained = parameters if chosen.strategy == "full" else 0
    needed = Memory(
        weights=int(parameters * size * (2 if _has_reference(plan) else 1)),
        gradients=trained * 4,
        optimizer=trained * _state_bytes(chosen.optimizer),
        activations=0,
    )
    loading = []
    if shares_out(launch) and not loads_in_parts(launch):  # each process has it whole at first
        whole = replace(needed, gradients=0, optimizer=0)
        loading = [Place("machine", whole, _available("cpu", launch))]
    for place in [*loading, *places(needed, launch, device)]:
        if place.lacks:
            raise UserError(
                f"{base}: {parameters / 1e9:.1f} billion parameters need "
                f"{place.memory.total / GB:.1f} GB for train.strategy {chosen.strategy} and the "
                f"{place.name} has {place.available / GB:.1f}; {_smaller(plan, launch)}"
            )


def places(needed: Memory, launch: Launch, device: str) -> list[Place]:
    """What of the need of a whole training lies where, for one of the processes that share it.

    FSDP and ZeRO-3 share out weights, gradients and optimizer, ZeRO-2 the latter two (Rajbhandari
    et al., 2020); offloading moves what is shared out to the machine.
    """
    if not shares_out(launch):
        return [Place("device", needed, _available(device, launch))]
    in_weights = launch.strategy == "fsdp" or launch.zero_stage == 3
    shared = Memory(
        weights=needed.weights // launch.world if in_weights else 0,
        gradients=needed.gradients // launch.world,
        optimizer=needed.optimizer // launch.world,
        activations=0,
    )
    own = replace(needed, weights=0 if in_weights else needed.weights, gradients=0, optimizer=0)
    if launch.offload and device != "cpu":
        return [
            Place("device", own, _available(device, launch)),
            Place("machine", shared, _available("cpu", launch)),
        ]
    together = replace(shared, weights=shared.weights + own.weights, activations=own.activations)
    return [Place("device", together, _available(device, launch))]


def remedy(memory: Memory, plan: Plan, launch: Launch) -> str:
    """What takes most of it, and the parameter that lessens that."""
    chosen = plan.chosen
    if memory.activations >= max(memory.weights, memory.optimizer):
        if not chosen.activation_checkpointing:
            return "set train.activation_checkpointing, or lower train.batch_size"
        return "lower train.batch_size or train.max_length"
    if memory.optimizer + memory.gradients >= memory.weights:
        return "take train.strategy lora, or train.optimizer paged_adamw_8bit"
    return _smaller(plan, launch)


def _parameters(base: Path) -> int:
    """How many numbers the weights of a folder have: a safetensors file begins with the length of
    its header (8 bytes, little-endian), which is JSON."""
    total = 0
    for path in base.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(math.prod(t["shape"]) for n, t in header.items() if n != "__metadata__")
    return total


def _state_bytes(optimizer: str) -> int:
    return next((size for name, size in OPTIMIZER_BYTES.items() if name in optimizer), 8)


def _numbers(parameter: Any) -> int:
    """Of a parameter; under ZeRO-3 it is empty here and DeepSpeed knows its size."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _has_reference(plan: Plan) -> bool:
    """Whether the model is held against a copy from before training; adapters need no copy."""
    if plan.adapter is not None:
        return False
    if plan.chosen.objective in ("dpo", "kto"):
        return not plan.config.precompute_ref_log_probs
    return plan.chosen.objective == "grpo" and plan.config.beta > 0


def _available(device: str, launch: Launch) -> int:
    """Bytes for one of the processes; those of a machine share its memory."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_allocated()
    own = psutil.Process(os.getpid()).memory_info().rss
    return int(psutil.virtual_memory().available / launch.processes + own)


def _smaller(plan: Plan, launch: Launch) -> str:
    """What makes weights smaller, of what goes together."""
    if shares_out(launch):
        return "share it among more machines, or take a smaller base"
    ways = [] if plan.chosen.strategy == "qlora" else ["train.strategy qlora"]
    if plan.adapter is not None and plan.chosen.precision == "fp32" and ways:
        ways.append("precision bf16")
    return f"take {', '.join([*ways, 'or a smaller base' if ways else 'a smaller base'])}"
