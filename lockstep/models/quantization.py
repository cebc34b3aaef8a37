"""Linear layers in 4 or 8 bits by bitsandbytes."""

from typing import Any, Literal

from lockstep.errors import UserError
from lockstep.models import model_io
from lockstep.params import MixedPrecision

QuantizationMethod = Literal["nf4", "int8"]


def build_config(method: QuantizationMethod, double: bool, precision: MixedPrecision) -> Any:
    """What makes transformers quantize every linear layer but the output while it loads.

    nf4 is the 4-bit NormalFloat of QLoRA (Dettmers et al., 2023), in which `double` quantizes
    the scales as well and `precision` is that of the products; int8 is LLM.int8 (Dettmers et al.,
    2022).
    """
    import torch
    from transformers import BitsAndBytesConfig

    if method == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=getattr(torch, model_io.DTYPES[precision]),
    )


def count_quantized_layers(model: Any) -> int:
    """How many linear layers the blocks have; UserError where one of them is not quantized."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from optimum.gptq.utils import get_layers

    blocks = model_io.find_blocks(model)
    plain = sorted(get_layers(blocks))
    if plain:
        raise UserError(f"{len(plain)} linear layers were not quantized: {', '.join(plain[:3])}")
    return sum(isinstance(module, Linear4bit | Linear8bitLt) for module in blocks.modules())
