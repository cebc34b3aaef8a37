"""Quantize linear layers to 4 or 8 bits with bitsandbytes."""

from typing import Any, Literal

from lockstep.errors import UserError
from lockstep.models import lean_imports, loading
from lockstep.params import MixedPrecision, PositiveInt, Precision, Section

QuantizationMethod = Literal["nf4", "int8"]


class QuantizeParams(Section):
    """Quantization of the merged model, and the records that measure its effect."""

    method: QuantizationMethod
    """nf4 is 4-bit NormalFloat (QLoRA), int8 is LLM.int8."""
    double_quantization: bool
    """nf4: whether the scales are quantized too, which saves 0.4 bits per weight."""
    precision: Precision
    """nf4: precision of the matrix products; it is saved with the model."""
    rows: PositiveInt = 200
    """Maximum number of validation records for the comparison before and after, sampled evenly."""
    max_length: PositiveInt = 256
    """Maximum number of tokens of a compared record; longer ones are truncated on the right."""
    batch_size: PositiveInt = 32
    """Number of records per forward pass."""


def build_config(method: QuantizationMethod, double: bool, precision: MixedPrecision) -> Any:
    """Return the configuration with which transformers quantizes a model while it loads it.

    All linear layers except the output layer are quantized. nf4 is the 4-bit NormalFloat of QLoRA
    (Dettmers et al., 2023); `double` quantizes its scales as well, and `precision` is that of its
    matrix products. int8 is LLM.int8 (Dettmers et al., 2022).
    """
    import torch
    from transformers import BitsAndBytesConfig

    if method == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=getattr(torch, loading.DTYPES[precision]),
    )


def count_quantized_layers(model: Any) -> int:
    """Return the number of quantized layers; raise UserError if a linear layer is not quantized.

    Layers that transformers never quantizes, such as `wo` of T5, may stay as they are.
    """
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    with lean_imports.hide_module("datasets"):  # GPTQ's calibration needs it, the search does not
        from optimum.gptq.utils import get_layers

    block_lists = loading.find_block_lists(model)
    kept = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    layers = [name for blocks in block_lists for name in get_layers(blocks)]
    unquantized = sorted(name for name in layers if not kept & set(name.split(".")))
    if unquantized:
        raise UserError(
            f"{len(unquantized)} linear layers were not quantized: {', '.join(unquantized[:3])}"
        )
    modules = [module for blocks in block_lists for module in blocks.modules()]
    return sum(isinstance(module, Linear4bit | Linear8bitLt) for module in modules)
