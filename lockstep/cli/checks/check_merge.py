"""Checks of the section `merge`."""

from collections.abc import Iterator
from pathlib import Path

from lockstep.cli.sections import MergeParams, TrainParams
from lockstep.errors import UserError

LORA_STRATEGIES = ("lora", "qlora")
"""Strategies whose adapters PEFT can combine."""

ADAPTERS = Path("data/adapters")
"""Folder of further adapters, which dvc.yaml declares for the stage."""


def check_strategy(merge: MergeParams, train: TrainParams) -> Iterator[str]:
    """Yield a line if adapters are combined although the strategy trains no LoRA adapter."""
    if merge.weights and train.strategy not in LORA_STRATEGIES:
        yield (
            f"merge.adapters and trained_weight need a LoRA adapter, but train.strategy is "
            f"{train.strategy}; set it to {' or '.join(LORA_STRATEGIES)}, or leave them out"
        )


def check_adapters(merge: MergeParams) -> Iterator[str]:
    """Yield a line for each adapter that is missing or damaged, before hours of training."""
    from lockstep.merging import adapter_folder

    for adapter in merge.adapters:
        try:
            adapter_folder.check_folder(ADAPTERS / adapter.path)
        except UserError as error:
            yield error.message
