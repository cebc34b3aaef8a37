"""What a training will need, before it starts: memory, disk, padding. Imports torch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lockstep.errors import UserError
from lockstep.models.compute import Launch
from lockstep.training import memory
from lockstep.training.memory import GB, Place
from lockstep.training.training_plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is known before the first step."""

    rows: int
    tokens: int
    steps: int
    padding: float
    """Share of the tokens computed in the first epoch that are padding."""
    places: list[Place]
    checkpoint: int
    """Bytes of a checkpoint."""

    def lines(self) -> Iterator[str]:
        """For a reader."""
        yield (
            f"{self.rows:,} rows, {self.tokens:,} tokens an epoch, {self.padding:.0%} of the "
            f"computed ones padding, {self.steps:,} steps"
        )
        yield from map(str, self.places)
        yield f"checkpoints of {self.checkpoint / GB:.2f} GB"

    def refuse(self, plan: Plan, launch: Launch) -> None:
        """Raise where it cannot fit, with what would make it fit."""
        for place in self.places:
            if place.lacks:
                raise UserError(
                    f"training needs about {place.memory.total / GB:.1f} GB and the {place.name} "
                    f"has {place.available / GB:.1f}; {memory.remedy(place.memory, plan, launch)}"
                )


def look_ahead(trainer: Any, plan: Plan, launch: Launch) -> Preflight:
    """Of a trainer that is ready to train, its model not shared out yet."""
    needed = memory.needed(trainer, plan)
    return Preflight(
        rows=len(plan.train.rows),
        tokens=plan.train.tokens,
        steps=plan.steps,
        padding=_padding(trainer, plan),
        places=memory.places(needed, launch, trainer.args.device.type),
        checkpoint=needed.gradients + needed.optimizer,
    )


def _padding(trainer: Any, plan: Plan) -> float:
    if plan.chosen.batching == "packed" or plan.chosen.objective == "grpo":
        return 0.0
    order, size = list(trainer._get_train_sampler()), plan.chosen.batch_size
    lengths = plan.train.lengths
    batches = [[lengths[i] for i in order[at : at + size]] for at in range(0, len(order), size)]
    computed = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(map(sum, batches)) / computed
