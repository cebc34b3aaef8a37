"""The section `merge` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lockstep.params import PositiveFloat, PositiveInt, Section

Combination = Literal[
    "cat", "linear", "svd", "ties", "ties_svd", "dare_linear", "dare_ties", "dare_linear_svd",
    "dare_ties_svd", "magnitude_prune", "magnitude_prune_svd",
]  # fmt: skip
"""Ways in which PEFT combines LoRA adapters, by PEFT's names."""

Weight = Annotated[float, Field(ge=-100, le=100)]


class AdapterParams(Section):
    """An adapter that is combined with the trained one."""

    path: Annotated[str, Field(pattern=r"^[\w][\w.+-]*(/[\w][\w.+-]*)*$")]
    """Folder below data/adapters, with adapter_config.json and adapter_model.safetensors."""
    weight: Weight = 1.0
    """Factor of its update; a negative one takes the update away."""


class MergeParams(Section):
    """Adapters that are merged, and the comparison with base plus adapter, in 32 bits."""

    adapters: list[AdapterParams] = []
    """LoRA adapters below data/adapters that are combined with the trained one before merging."""
    combination: Combination = "cat"
    """Method that combines the adapters, by its name in PEFT. cat and svd sum the weighted
    updates. linear, ties, dare_* and magnitude_prune combine the factors A and B of adapters of one
    rank, which only approximates that sum. *_svd prune whole updates and keep the largest singular
    values."""
    density: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the values that ties, dare_* and magnitude_prune keep."""
    svd_rank: PositiveInt | None = None
    """Rank of the combined adapter for svd and *_svd; null takes the largest rank."""
    trained_weight: Weight = 1.0
    """Factor of the trained adapter's update."""
    parity: Literal["logits", "layers"] = "logits"
    """logits loads the whole model and compares its logits; layers compares only the outputs of
    each adapted layer for random inputs, so memory never holds more than a shard and two layers."""
    prompts: PositiveInt = 32
    """Maximum number of validation prompts whose logits are compared, sampled evenly."""
    tolerance: PositiveFloat = 1e-3
    """Largest accepted difference between two outputs, as a share of the largest one. With parity
    logits, the outputs of each adapted layer are compared if 32 bits do not fit into memory."""

    @property
    def weights(self) -> list[float]:
        """Factors of the trained adapter and of the others; empty if it is merged as it is."""
        if not self.adapters and self.trained_weight == 1:
            return []
        return [self.trained_weight, *(adapter.weight for adapter in self.adapters)]

    @model_validator(mode="after")
    def _check_names(self) -> "MergeParams":
        paths = [adapter.path for adapter in self.adapters]
        for path in paths:
            if paths.count(path) > 1:
                raise ValueError(f"adapters: {path} is listed twice; add up its weights")
        return self
