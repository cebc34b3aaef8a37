"""Quantize linear layers and fused experts to 4 or 8 bits with bitsandbytes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lockstep.errors import UserError
from lockstep.models import (
    compute,
    lean_imports,
    loading,
    placement,
    saving,
    weight_check,
    weight_counts,
)
from lockstep.models.gguf_folder import GgufMethod
from lockstep.models.heads import Head
from lockstep.params import MixedPrecision, PositiveInt, Precision, Section

QuantizationMethod = Literal["nf4", "fp4", "int8", "pruned", GgufMethod]

MIN_CAPABILITY = {"int8": (7, 5), "nf4": (6, 0), "fp4": (6, 0)}
"""Method -> least compute capability of a GPU for bitsandbytes, by its documentation."""


class QuantizeParams(Section):
    """The form of the merged model that ships, and the records that measure its effect."""

    method: QuantizationMethod
    """nf4 is 4-bit NormalFloat (QLoRA), fp4 is 4-bit floating point, int8 is LLM.int8, pruned
    sets the smallest weights to zero, and gguf_f16, gguf_q8_0, gguf_q5_1 and gguf_q4_0 write a file
    for llama.cpp with matrices in 16, 8, 5 or 4 bits (docs/quantization.md)."""
    double_quantization: bool
    """nf4, fp4: whether the scales are quantized too, which saves 0.4 bits per weight."""
    precision: Precision
    """nf4, fp4: precision of the matrix products; it is saved with the model."""
    pattern: Literal["unstructured", "2:4"] = "unstructured"
    """pruned: unstructured sets the smallest weights of each layer to zero, 2:4 the two smallest of
    every four inputs of an output, as sparse tensor cores need it."""
    sparsity: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """pruned: share of the weights of each layer that become zero; 2:4 needs 0.5."""
    max_perplexity_increase: Annotated[float, Field(ge=0)] | None = None
    """Largest accepted increase of the perplexity, as a share of that of the merged model: 0.02
    accepts 2%. The stage fails if it is larger. null accepts any."""
    rows: PositiveInt = 200
    """Maximum number of validation records for the comparison before and after, sampled evenly."""
    max_length: PositiveInt = 256
    """Maximum number of tokens of a compared record; longer ones are truncated on the right."""
    batch_size: PositiveInt = 32
    """Number of records per forward pass."""

    @model_validator(mode="after")
    def _check_pattern(self) -> "QuantizeParams":
        if self.pattern == "2:4" and self.sparsity != 0.5:
            raise ValueError(f"sparsity: {self.sparsity:g} does not fit the pattern 2:4; set 0.5")
        return self


@dataclass(frozen=True, slots=True)
class WrittenForm:
    """A form of the model that was written to a folder."""

    description: str
    """The changed weights in words, for the line that the stage prints."""
    summary: dict[str, Any]
    """The changed weights as values of quantize.json."""


def write_quantized_model(
    merged: Path,
    head: Head | None,
    out: Path,
    settings: QuantizeParams,
    attention: str,
    max_shard_gb: float,
) -> WrittenForm:
    """Write the merged model in 4 or 8 bits; raise UserError where that cannot work."""
    config = build_config(settings.method, settings.double_quantization, settings.precision)
    counts, size = check_quantization(merged, head, settings, config)
    weight_check.check_space(out, size)
    devices = placement.choose_devices(merged, size)
    model = loading.load_model(merged, "auto", attention, devices, config)
    layers = count_quantized_layers(model)
    saving.save_model(model, out, max_shard_gb)
    summary = {"quantized_layers": layers, "quantized_share": round(counts.share, 4)}
    return WrittenForm(str(counts), summary)


def check_device(method: QuantizationMethod) -> None:
    """Raise UserError if bitsandbytes lacks the method on the device that models run on."""
    if method not in MIN_CAPABILITY or compute.select_device() == "cpu":
        return  # on a CPU it has the operations of torch where it lacks kernels of its own
    import torch

    lean_imports.import_bitsandbytes()
    from bitsandbytes import cextension

    has_kernels = not isinstance(cextension.lib, cextension.ErrorHandlerMockBNBNativeLibrary)
    problem = describe_missing_kernels(method, torch.cuda.get_device_capability(), has_kernels)
    if problem:
        raise UserError(f"params.yaml: quantize.method: {problem}")


def describe_missing_kernels(
    method: str, capability: tuple[int, int], has_kernels: bool
) -> str | None:
    """Return why a GPU cannot run a method of bitsandbytes, with the remedy; None if it can.

    `has_kernels` tells whether bitsandbytes has kernels for the version of CUDA.
    """
    remedy = "set runtime.device: cpu, or the method to pruned"
    if not has_kernels:
        return f"{method}: bitsandbytes has no kernels for this version of CUDA; {remedy}"
    least = MIN_CAPABILITY[method]
    if capability >= least:
        return None
    if capability >= MIN_CAPABILITY["nf4"]:
        remedy += " or nf4"
    return (
        f"{method} needs a GPU of compute capability {least[0]}.{least[1]}, and this one has "
        f"{capability[0]}.{capability[1]}; {remedy}"
    )


def build_config(method: QuantizationMethod, double: bool, precision: MixedPrecision) -> Any:
    """Return the configuration with which transformers quantizes a model while it loads it.

    All linear layers except the output layer are quantized. nf4 is the 4-bit NormalFloat of QLoRA
    (Dettmers et al., 2023), fp4 a 4-bit floating-point number; `double` quantizes their scales as
    well, and `precision` is that of their matrix products. int8 is LLM.int8 (Dettmers et al.,
    2022).
    """
    import torch
    from transformers import BitsAndBytesConfig

    if method == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=method,
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

    nf4 and fp4 have a scale of 32 bits for each block of 64 parameters, or of 8 bits if the scales
    are quantized.
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
