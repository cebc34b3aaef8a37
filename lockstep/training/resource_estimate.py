"""Estimate the memory, disk and padding of a training before its first step. Imports torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockstep.errors import UserError
from lockstep.models.compute import LaunchParams
from lockstep.training import memory
from lockstep.training.memory import GB, MemoryPool
from lockstep.training.training_plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceEstimate:
    """Size of a training, and the memory and disk that it needs."""

    rows: int
    """Number of training rows."""
    skipped_rows: int
    """Number of training rows left out because their answer is undesirable."""
    tokens: int
    """Number of tokens of the training rows, without padding."""
    steps: int
    """Number of optimizer steps."""
    padding: float
    """Share of padding among the tokens that the first epoch computes."""
    pools: list[MemoryPool]
    """Memory needed on the device and, with offloading, in the machine."""
    checkpoint_bytes: int
    """Size of one checkpoint."""

    def format_lines(self) -> Iterator[str]:
        """Yield the estimate as lines of text."""
        yield (
            f"{self.rows:,} rows, {self.tokens:,} tokens an epoch, {self.padding:.0%} of the "
            f"computed tokens are padding, {self.steps:,} steps"
        )
        if self.skipped_rows:
            yield f"{self.skipped_rows:,} rows with an undesirable answer are skipped"
        yield from map(str, self.pools)
        yield f"checkpoints of {self.checkpoint_bytes / GB:.2f} GB"

    def check_memory(self, plan: Plan, launch: LaunchParams) -> None:
        """Raise UserError if the training does not fit into memory; the message says what helps."""
        for pool in self.pools:
            if pool.is_exceeded:
                remedy = memory.suggest_remedy(pool.needed, plan, launch)
                raise UserError(
                    f"training needs about {pool.needed.total / GB:.1f} GB, but the {pool.name} "
                    f"has {pool.available / GB:.1f}; {remedy}"
                )


def estimate_resources(trainer: Any, plan: Plan, launch: LaunchParams) -> ResourceEstimate:
    """Return the estimate for a trainer that is ready to train.

    Call it before FSDP or DeepSpeed shards the model.
    """
    needed = memory.estimate_memory(trainer, plan)
    return ResourceEstimate(
        rows=len(plan.train_rows.rows),
        skipped_rows=plan.skipped_rows,
        tokens=plan.train_rows.tokens,
        steps=plan.steps,
        padding=_compute_padding_share(trainer, plan),
        pools=memory.split_memory(needed, launch, trainer.args.device.type),
        checkpoint_bytes=needed.gradients + needed.optimizer,
    )


def _compute_padding_share(trainer: Any, plan: Plan) -> float:
    """Return the share of padding among the tokens that the first epoch computes."""
    if plan.params.batching == "packed" or plan.params.objective == "grpo":
        return 0.0
    order, size = list(trainer._get_train_sampler()), plan.params.batch_size
    lengths = plan.train_rows.lengths
    batches = [
        [lengths[i] for i in order[start : start + size]] for start in range(0, len(order), size)
    ]
    computed = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(map(sum, batches)) / computed
