"""Quantize linear layers and fused experts to 4 or 8 bits with bitsandbytes."""

from pathlib import Path
from typing import Any, Literal

from lockstep.errors import UserError
from lockstep.models import lean_imports, loading, saving, weight_counts
from lockstep.models.heads import Head
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


def check_quantization(
    folder: Path, head: Head | None, settings: QuantizeParams, config: Any
) -> tuple[weight_counts.WeightCounts, int]:
    """Return how many parameters of a model will be quantized, and its size in bytes then.

    Raise UserError if a large part would stay in full precision.
    """
    counts = weight_counts.count_weights(folder, head, config)
    full_bytes = saving.count_weight_bytes(folder) / counts.total
    size = counts.count_bytes(
        get_parameter_bytes(settings.method, settings.double_quantization), full_bytes
    )
    other = "use another base" if settings.method == "nf4" else "set it to nf4"
    weight_counts.check_quantized_share(counts, "quantize.method", size, other)
    return counts, size


def get_parameter_bytes(method: QuantizationMethod, double: bool) -> float:
    """Return the bytes of a quantized parameter, with its share of the scales.

    nf4 has a scale of 32 bits for each block of 64 parameters, or of 8 bits if the scales are
    quantized.
    """
    if method == "int8":
        return 1.0
    return 0.5 + (1 if double else 4) / 64


def count_quantized_layers(model: Any) -> int:
    """Return the number of quantized layers; fused experts count once for each parameter.

    Layers that transformers never quantizes, such as `wo` of T5, may stay as they are. Raise
    UserError if another linear layer of the blocks is not quantized, against what was counted.
    """
    import torch
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from bitsandbytes.nn.parametrize import Bnb4bitParametrization

    with lean_imports.hide_module("datasets"):  # GPTQ's calibration needs it, the search does not
        from optimum.gptq.utils import get_layers

    full_precision_layers = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    unquantized = sorted(
        name
        for blocks in loading.find_block_lists(model)
        for name in get_layers(blocks, layers=[torch.nn.Linear])
        if not full_precision_layers & set(name.split("."))
    )
    if unquantized:
        raise UserError(
            f"{len(unquantized)} linear layers were not quantized: {', '.join(unquantized[:3])}"
        )
    classes = (Linear4bit, Linear8bitLt, Bnb4bitParametrization)
    return sum(isinstance(module, classes) for module in model.modules())
