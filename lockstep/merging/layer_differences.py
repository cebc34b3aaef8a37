"""Compare the outputs of a layer before and after its adapter is merged, for random inputs."""

from dataclasses import dataclass
from typing import Any

INPUTS = 16
"""Number of random inputs of a layer, or of tokens of an embedding."""


@dataclass(slots=True)
class LayerDifferences:
    """Largest differences of all layers so far."""

    merging: float = 0.0
    """Largest difference in 32 bits, as a share of the layer's largest output."""
    cast: float = 0.0
    """Largest difference that the cast to the base's precision makes."""
    layers: int = 0
    """Number of compared layers."""

    def add(self, expected: Any, merged: Any, inputs: Any, dtype: Any) -> None:
        """Compare a merged layer in 32 bits with the outputs of the adapted one.

        `dtype` is the precision that its weights are cast to afterwards.
        """
        import torch

        weight = merged.weight.data
        with torch.inference_mode():
            actual = merged(inputs)
            merged.weight.data = weight.to(dtype).float()
            cast = merged(inputs)
        merged.weight.data = weight
        self.merging = _choose_larger(self.merging, (actual - expected) / expected.abs().max())
        self.cast = _choose_larger(self.cast, cast - actual)
        self.layers += 1


def _choose_larger(number: float, differences: Any) -> float:
    """Return the larger of a number and the largest absolute difference; NaN if one is NaN."""
    largest = float(differences.abs().max())
    return number if largest <= number else largest


def build_inputs(layer: Any) -> Any:
    """Return random inputs of a linear layer or an embedding; None for other layers."""
    import torch
    from transformers.pytorch_utils import Conv1D

    generator = torch.Generator().manual_seed(0)
    if isinstance(layer, torch.nn.Embedding):
        return torch.randint(layer.num_embeddings, (1, INPUTS), generator=generator)
    if isinstance(layer, Conv1D):
        return torch.randn(INPUTS, layer.nx, generator=generator)
    if isinstance(layer, torch.nn.Linear):
        return torch.randn(INPUTS, layer.in_features, generator=generator)
    return None
