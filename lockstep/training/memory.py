"""Estimate the memory that a training needs, on the device and the machine. Imports torch."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from lockstep.errors import UserError
from lockstep.models import quantization, weight_counts
from lockstep.models.compute import LaunchParams
from lockstep.models.weight_counts import WeightCounts
from lockstep.training import adapters
from lockstep.training.launch import is_sharded, is_sharded_on_load
from lockstep.training.training_plan import Plan

OPTIMIZER_BYTES = {"8bit": 2, "4bit": 1, "adafactor": 0, "sgd": 0, "lion": 4, "ademamix": 12}
"""Bytes of optimizer state per trained parameter, by a part of the optimizer's name.

Other optimizers count as AdamW, whose two moments take 8 bytes.
"""
GB = 1e9

PAIRED_OBJECTIVES = ("dpo", "orpo", "simpo", "reward")
"""Objectives that compute two answers per row in one forward pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory that one process needs, in bytes."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """Sum of all parts, in bytes."""
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True, slots=True)
class MemoryPool:
    """Memory of the device or of the machine, and the part of a training that lies in it."""

    name: str
    """"device", or "machine" for memory that is offloaded from the device."""
    needed: Memory
    available: int
    """Bytes that are free or already hold the weights."""

    @property
    def is_exceeded(self) -> bool:
        """Whether more memory is needed than available."""
        return self.needed.total > self.available

    def __str__(self) -> str:
        needed = self.needed
        return (
            f"about {needed.total / GB:.2f} of {self.available / GB:.1f} GB memory of the "
            f"{self.name}: weights {needed.weights / GB:.2f}, gradients "
            f"{needed.gradients / GB:.2f}, optimizer {needed.optimizer / GB:.2f}, activations "
            f"{needed.activations / GB:.2f}"
        )


def estimate_memory(trainer: Any, plan: Plan) -> Memory:
    """Return the memory that a trainer needs.

    The trainer must be ready to train, and its model not sharded yet.
    """
    rewards = [getattr(reward, "model", None) for reward in getattr(trainer, "reward_funcs", ())]
    models = [trainer.model, getattr(trainer, "ref_model", None), *rewards]
    trained = sum(_count_elements(p) for p in trainer.model.parameters() if p.requires_grad)
    return Memory(
        weights=sum(
            _count_elements(p) * p.element_size()
            for model in models
            if model is not None
            for p in model.parameters()
        ),
        gradients=trained * 4,
        optimizer=trained * _get_optimizer_bytes(plan.params.optimizer),
        activations=estimate_activations(trainer.model.config, plan),
    )


def estimate_activations(config: Any, plan: Plan) -> int:
    """Return the bytes of activations that the backward pass of the largest batch needs.

    The estimate follows Korthikanti et al. (2022), equation 2: 34 h + 5 a s bytes per token and
    layer in 16 bits, where h is the hidden size, a the number of heads and s the tokens of a row.
    The second term counts for eager attention only. A checkpointed layer keeps 2 h bytes. The
    logits in the loss, their gradient and their softmax are added in 32 bits: for sft the logits
    of the answers, for dpo, kto and grpo none, because TRL computes them in tiles.
    """
    params = plan.params
    width_factor = 1 if params.precision in ("bf16", "fp16") else 2
    row_length = max(plan.train_rows.lengths)
    if params.batching == "packed":
        row_length = params.max_length
    if params.objective == "grpo":
        row_length += params.evaluation_tokens  # the generated answers are trained on
    rows = params.batch_size * (2 if params.objective in PAIRED_OBJECTIVES else 1)
    tokens = rows * row_length
    config = config.get_text_config()
    hidden_size, layers = config.hidden_size, config.num_hidden_layers
    layer_bytes = 34 * hidden_size
    if config._attn_implementation == "eager":
        layer_bytes += 5 * config.num_attention_heads * row_length
    if params.activation_checkpointing:
        token_bytes = layers * 2 * hidden_size + layer_bytes
    else:
        token_bytes = layers * layer_bytes
    scored_tokens = {
        "sft": rows * max(row.loss_tokens for row in plan.train_rows.rows),
        "orpo": tokens,
        "simpo": tokens,
    }.get(params.objective, 0)
    return tokens * token_bytes * width_factor + scored_tokens * config.vocab_size * 4 * 3


def check_weights(base: Path, plan: Plan, launch: LaunchParams, device: str) -> WeightCounts:
    """Return the number of parameters that will be loaded.

    Raise UserError if the weights alone do not fit into memory, before they are loaded.
    """
    params = plan.params
    counts, size = count_base_weights(base, plan)
    trained = counts.total if params.strategy == "full" else 0
    needed = Memory(
        weights=size * (2 if has_reference_model(plan) else 1),
        gradients=trained * 4,
        optimizer=trained * _get_optimizer_bytes(params.optimizer),
        activations=0,
    )
    loading = []
    if is_sharded(launch) and not is_sharded_on_load(launch):  # each process loads the whole model
        whole = replace(needed, gradients=0, optimizer=0)
        loading = [MemoryPool("machine", whole, _measure_available_bytes("cpu", launch))]
    for pool in [*loading, *split_memory(needed, launch, device)]:
        if pool.is_exceeded:
            raise UserError(
                f"{base}: {counts.total / 1e9:.1f} billion parameters need "
                f"{pool.needed.total / GB:.1f} GB for train.strategy {params.strategy}, but the "
                f"{pool.name} has {pool.available / GB:.1f}; {_suggest_smaller(plan, launch)}"
            )
    return counts


def split_memory(needed: Memory, launch: LaunchParams, device: str) -> list[MemoryPool]:
    """Split the memory of a whole training into what one process needs on device and machine.

    FSDP and ZeRO-3 shard weights, gradients and optimizer state, ZeRO-2 shards the latter two
    (Rajbhandari et al., 2020). Offloading moves the shards to the machine's memory.
    """
    if not is_sharded(launch):
        return [MemoryPool("device", needed, _measure_available_bytes(device, launch))]
    shards_weights = launch.strategy == "fsdp" or launch.zero_stage == 3
    shard = Memory(
        weights=needed.weights // launch.world_size if shards_weights else 0,
        gradients=needed.gradients // launch.world_size,
        optimizer=needed.optimizer // launch.world_size,
        activations=0,
    )
    whole = replace(
        needed, weights=0 if shards_weights else needed.weights, gradients=0, optimizer=0
    )
    if launch.offload and device != "cpu":
        return [
            MemoryPool("device", whole, _measure_available_bytes(device, launch)),
            MemoryPool("machine", shard, _measure_available_bytes("cpu", launch)),
        ]
    total = replace(shard, weights=shard.weights + whole.weights, activations=whole.activations)
    return [MemoryPool("device", total, _measure_available_bytes(device, launch))]


def suggest_remedy(needed: Memory, plan: Plan, launch: LaunchParams) -> str:
    """Return advice on which parameter to change to shrink the largest part of the memory."""
    params = plan.params
    if needed.activations >= max(needed.weights, needed.optimizer):
        if not params.activation_checkpointing:
            return "set train.activation_checkpointing, or lower train.batch_size"
        return "lower train.batch_size or train.max_length"
    if needed.optimizer + needed.gradients >= needed.weights:
        return "set train.strategy to lora, or train.optimizer to paged_adamw_8bit"
    return _suggest_smaller(plan, launch)


def count_base_weights(base: Path, plan: Plan) -> tuple[WeightCounts, int]:
    """Return the number of parameters of the base, and their bytes in the form that is trained.

    No weight is read. Raise UserError if qlora would keep a large part in full precision.
    """
    params = plan.params
    config = adapters.build_quantization_config(params)
    counts = weight_counts.count_weights(base, plan.head, config)
    in_32_bits = params.strategy in ("full", "freeze") or params.precision == "fp32"
    double = adapters.read_double_quantization(params)
    size = counts.count_bytes(
        quantization.get_parameter_bytes("nf4", double), 4.0 if in_32_bits else 2.0
    )
    if config is not None:
        weight_counts.check_quantized_share(
            counts, "train.strategy", size, "set it to lora, or use another base"
        )
    return counts, size


def has_reference_model(plan: Plan) -> bool:
    """Whether the trainer keeps a copy of the base as reference; with an adapter it needs none."""
    if plan.adapter_config is not None:
        return False
    if plan.params.objective in ("dpo", "kto"):
        return not plan.trainer_config.precompute_ref_log_probs
    return plan.params.objective == "grpo" and plan.trainer_config.beta > 0


def _get_optimizer_bytes(optimizer: str) -> int:
    return next((size for name, size in OPTIMIZER_BYTES.items() if name in optimizer), 8)


def _count_elements(parameter: Any) -> int:
    """Return the number of elements of a parameter.

    Under ZeRO-3 the tensor is empty, and DeepSpeed stores the number in `ds_numel`.
    """
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _measure_available_bytes(device: str, launch: LaunchParams) -> int:
    """Return the bytes for one process; all processes of a machine share its memory."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_allocated()
    resident = psutil.Process(os.getpid()).memory_info().rss
    return int(psutil.virtual_memory().available / launch.processes + resident)


def _suggest_smaller(plan: Plan, launch: LaunchParams) -> str:
    """Return advice on how to make the weights smaller."""
    if is_sharded(launch):
        return "use more machines or a smaller base"
    changes = []
    if plan.params.strategy != "qlora":
        changes.append("train.strategy to qlora")
        if plan.adapter_config is not None and plan.params.precision == "fp32":
            changes.append("train.precision to bf16")
    return (
        f"set {' and '.join(changes)}, or use a smaller base" if changes else "use a smaller base"
    )
