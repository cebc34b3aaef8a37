"""Count the parameters that a model will have in memory, before its weights are loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.errors import UserError, report_load_errors
from lockstep.models import lean_imports, loading
from lockstep.models.heads import Head

MIN_QUANTIZED_SHARE = 0.6
"""Minimum share of the matrices of the transformer blocks that must be quantized; T5 reaches 0.7,
since transformers keeps one of its matrices in 32 bits."""


@dataclass(frozen=True, slots=True)
class WeightCounts:
    """Number of parameters of a model that is loaded as it is, or quantized."""

    quantized: int
    """Number of parameters in 4 or 8 bits."""
    full: int
    """Number of parameters in the precision of the model."""
    block_share: float
    """Share of the quantized ones among the matrices of the transformer blocks."""
    largest_full: str
    """Name of the largest matrix in the blocks that is not quantized; empty if there is none."""

    @property
    def total(self) -> int:
        """Number of all parameters."""
        return self.quantized + self.full

    @property
    def share(self) -> float:
        """Share of quantized parameters among all, with embeddings and output layer."""
        return self.quantized / self.total

    def __str__(self) -> str:
        return (
            f"{self.share:.0%} of {self.total:,} parameters quantized, {self.block_share:.0%} of "
            "the matrices in the transformer blocks"
        )

    def count_bytes(self, quantized_bytes: float, full_bytes: float) -> int:
        """Return the size of the weights, from the bytes of a parameter of each kind."""
        return int(self.quantized * quantized_bytes + self.full * full_bytes)


def count_weights(folder: Path, head: Head | None = None, quantization: Any = None) -> WeightCounts:
    """Return the number of parameters that `loading.load_model` will load; no weight is read."""
    with report_load_errors(f"{folder}: the model"):
        model = _build_empty_model(folder, head)
        quantizer = None
        if quantization is not None:
            lean_imports.import_bitsandbytes()
            from lockstep.models import bnb_quantizers

            bnb_quantizers.register()
            from transformers.quantizers.auto import AutoHfQuantizer

            quantizer = AutoHfQuantizer.from_config(quantization, pre_quantized=False)
            quantizer._process_model_before_weight_loading(model, device_map=None)
    quantized = {
        id(parameter)
        for name, parameter in model.named_parameters()
        if quantizer is not None and quantizer.param_needs_quantization(model, name)
    }
    sizes = {id(parameter): parameter.numel() for parameter in model.parameters()}
    matrices = [
        (name, parameter)
        for blocks in loading.find_block_lists(model)
        for name, parameter in blocks.named_parameters()
        if parameter.ndim > 1
    ]
    in_blocks = sum(parameter.numel() for _, parameter in matrices)
    full = [(p.numel(), name) for name, p in matrices if id(p) not in quantized]
    return WeightCounts(
        quantized=sum(sizes[key] for key in quantized),
        full=sum(size for key, size in sizes.items() if key not in quantized),
        block_share=1 - sum(size for size, _ in full) / in_blocks,
        largest_full=max(full, default=(0, ""))[1],
    )


def check_quantized_share(counts: WeightCounts, where: str, size: int, remedy: str) -> None:
    """Raise UserError if a large part of the model would stay in full precision.

    `where` names the parameter that asks for the quantization, and `size` is that of all weights
    in bytes.
    """
    if counts.block_share < MIN_QUANTIZED_SHARE:
        raise UserError(
            f"params.yaml: {where}: bitsandbytes can quantize {counts.share:.0%} of the parameters "
            f"only, not {counts.largest_full} for example, so the weights would take "
            f"{size / 1e9:.3g} GB; {remedy}"
        )


def _build_empty_model(folder: Path, head: Head | None) -> Any:
    """Return the model of a folder without memory for its weights."""
    import torch
    from transformers import AutoConfig
    from transformers.modeling_utils import set_zero3_state

    loader = loading.choose_loader(folder, head)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"), set_zero3_state():  # or ZeRO-3 would divide what has no memory
        return loader.from_config(config, attn_implementation="eager", trust_remote_code=False)
