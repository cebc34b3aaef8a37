"""What a training will need, before it starts: memory, disk, padding. Imports torch."""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from stages.errors import Refusal
from stages.learning.plan import Plan

OPTIMIZER_BYTES = {"8bit": 2, "4bit": 1, "adafactor": 0, "sgd": 0, "lion": 4, "ademamix": 12}
"""State of a trained number by the optimizer's name; 8 for the AdamW family's two averages."""
GB = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on one device."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is known before the first step."""

    rows: int
    tokens: int
    steps: int
    padding: float
    """Share of the tokens computed in the first epoch that are padding."""
    memory: Memory
    available: int
    """Bytes of the device that are free, or taken by the weights already."""
    checkpoint: int
    """Bytes of a checkpoint."""

    def lines(self) -> Iterator[str]:
        """For a reader."""
        memory = self.memory
        yield (
            f"{self.rows:,} rows, {self.tokens:,} tokens an epoch, {self.padding:.0%} of the "
            f"computed ones padding, {self.steps:,} steps"
        )
        yield (
            f"about {memory.total / GB:.2f} of {self.available / GB:.1f} GB memory: weights "
            f"{memory.weights / GB:.2f}, gradients {memory.gradients / GB:.2f}, optimizer "
            f"{memory.optimizer / GB:.2f}, activations {memory.activations / GB:.2f}; checkpoints "
            f"of {self.checkpoint / GB:.2f} GB"
        )

    def refuse(self, plan: Plan) -> None:
        """Raise where it cannot fit, with what would make it fit."""
        if self.memory.total > self.available:
            raise Refusal(
                f"training needs about {self.memory.total / GB:.1f} GB and the device has "
                f"{self.available / GB:.1f}; {_remedy(self.memory, plan)}"
            )


def look_ahead(trainer: Any, plan: Plan) -> Preflight:
    """Of a trainer that is ready to train."""
    model = trainer.model
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    optimizer = trained * _state_bytes(plan.chosen.optimizer)
    return Preflight(
        rows=len(plan.train.rows),
        tokens=plan.train.tokens,
        steps=plan.steps,
        padding=_padding(trainer, plan),
        memory=Memory(
            weights=sum(t.numel() * t.element_size() for t in model.state_dict().values()),
            gradients=trained * 4,
            optimizer=optimizer,
            activations=activations(model.config, plan),
        ),
        available=_available(model.device),
        checkpoint=trained * 4 + optimizer,
    )


def activations(config: Any, plan: Plan) -> int:
    """Bytes that the backward pass needs of the largest batch.

    After Korthikanti et al. (2022), equation 2: 34 h + 5 a s bytes a token and layer in 16 bits
    (h the width, a the heads, s the tokens of a row), the second term only where attention is
    computed eagerly; a checkpointed layer keeps 2 h. The answers' logits, their gradient and
    their softmax are added in 32 bits.
    """
    chosen = plan.chosen
    wide = 1 if chosen.precision in ("bf16", "fp16") else 2
    longest = max(plan.train.lengths)
    packed = chosen.batching == "packed"
    length = chosen.max_length if packed else longest
    tokens = chosen.batch_size * length
    config = config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    attention = 5 * config.num_attention_heads * length
    each = 34 * width + (attention if config._attn_implementation == "eager" else 0)
    kept = layers * 2 * width + each if chosen.activation_checkpointing else layers * each
    answers = 0 if plan.head else chosen.batch_size * max(row.learnt for row in plan.train.rows)
    return tokens * kept * wide + answers * config.vocab_size * 4 * 3


def check_weights(base: Path, plan: Plan, device: str) -> None:
    """Refuse weights that fill the device by themselves, before they are loaded."""
    parameters = _parameters(base)
    size = {"qlora": 0.55}.get(plan.chosen.strategy)  # nf4 with its scales
    if plan.chosen.strategy in ("full", "freeze"):
        size = 4.0
    elif size is None:
        size = 4.0 if plan.chosen.precision == "fp32" else 2.0
    if plan.chosen.strategy == "full":
        size += 4 + _state_bytes(plan.chosen.optimizer)
    needed, available = parameters * size, _available(torch.device(device))
    if needed > available:
        raise Refusal(
            f"{base}: {parameters / 1e9:.1f} billion parameters need {needed / GB:.1f} GB for "
            f"train.strategy {plan.chosen.strategy} and the device has {available / GB:.1f}; take "
            "qlora, precision bf16 or a smaller base"
        )


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


def _padding(trainer: Any, plan: Plan) -> float:
    if plan.chosen.batching == "packed" or plan.chosen.objective == "grpo":
        return 0.0
    order, size = list(trainer._get_train_sampler()), plan.chosen.batch_size
    lengths = plan.train.lengths
    batches = [[lengths[i] for i in order[at : at + size]] for at in range(0, len(order), size)]
    computed = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(map(sum, batches)) / computed


def _available(device: Any) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_allocated()
    own = psutil.Process(os.getpid()).memory_info().rss
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of this training, on this machine
    return int(psutil.virtual_memory().available / processes + own)


def _remedy(memory: Memory, plan: Plan) -> str:
    """What takes most of it, and the parameter that lessens that."""
    chosen = plan.chosen
    if memory.activations >= max(memory.weights, memory.optimizer):
        if not chosen.activation_checkpointing:
            return "set train.activation_checkpointing, or lower train.batch_size"
        return "lower train.batch_size or train.max_length"
    if memory.optimizer + memory.gradients >= memory.weights:
        return "take train.strategy lora, or train.optimizer paged_adamw_8bit"
    return "take train.strategy qlora, or a smaller base"
