"""Extend transformers' bitsandbytes quantizers to fused experts and Falcon. Imports torch.

transformers 5.23 quantizes layers whose class is exactly nn.Linear. The experts of a mixture are
fused into one parameter of three dimensions, which bitsandbytes can quantize to 4 bits
(bitsandbytes.nn.parametrize), and Falcon has a subclass of nn.Linear with the same result.
"""

from collections.abc import Iterator
from typing import Any

import bitsandbytes
import torch
from bitsandbytes.nn import parametrize
from torch.nn.utils.parametrize import register_parametrization
from transformers.integrations.bitsandbytes import Bnb4bitDeserialize, Bnb4bitQuantize
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING
from transformers.quantizers.quantizer_bnb_4bit import Bnb4BitHfQuantizer
from transformers.quantizers.quantizer_bnb_8bit import Bnb8BitHfQuantizer

EXPERT_PARAMETERS = ("gate_up_proj", "up_proj", "down_proj")
"""Names of the weights of fused experts in transformers."""

STATES = "four_bit_states"
"""Attribute of a module of experts: the scales of its quantized parameters, by name.

They are kept on the model while it is loaded, since transformers copies the operations.
"""

PLAIN_LINEAR_CLASSES = ("FalconLinear",)
"""Subclasses of nn.Linear that compute what nn.Linear does, up to rounding."""


def register() -> None:
    """Let transformers use the quantizers of this module, in this process.

    transformers before 5.23 loads 4 bits in another way: its own quantizer stays, without experts.
    """
    if hasattr(Bnb4BitHfQuantizer, "serialized_names"):
        AUTO_QUANTIZER_MAPPING["bitsandbytes_4bit"] = FourBitQuantizer
    AUTO_QUANTIZER_MAPPING["bitsandbytes_8bit"] = EightBitQuantizer


class EightBitQuantizer(Bnb8BitHfQuantizer):
    """Quantizer of LLM.int8 that knows Falcon's linear layers."""

    def _process_model_before_weight_loading(
        self, model: Any, device_map: Any = None, **options: Any
    ) -> Any:
        _replace_linear_subclasses(model)
        return super()._process_model_before_weight_loading(model, device_map, **options)


class FourBitQuantizer(Bnb4BitHfQuantizer):
    """Quantizer of 4 bits that knows Falcon's linear layers and fused experts."""

    def __init__(self, config: Any, **options: Any) -> None:
        super().__init__(config, **options)
        self.expert_names: set[str] = set()
        """Names of the weights of fused experts in the model."""
        self.serialized_names = dict(self.serialized_names)
        suffixes = [name.removeprefix("weight") for name in self.serialized_names["weight"]]
        for name in EXPERT_PARAMETERS:
            path = f"experts.{name}"
            self.serialized_names[path] = [f"{path}{suffix}" for suffix in suffixes]

    def _process_model_before_weight_loading(
        self, model: Any, device_map: Any = None, **options: Any
    ) -> Any:
        _replace_linear_subclasses(model)
        self.expert_names = {name for name, _ in iterate_fused_experts(model)}
        return super()._process_model_before_weight_loading(model, device_map, **options)

    def param_needs_quantization(self, model: Any, param_name: str, **options: Any) -> bool:
        """Whether a parameter is stored in 4 bits."""
        if param_name in self.expert_names:
            return True
        return super().param_needs_quantization(model, param_name, **options)

    def get_quantize_ops(self) -> Any:
        """Return the operation that quantizes a parameter while it is loaded."""
        return _Quantize(self)

    def get_load_operations(self) -> dict[str, Any]:
        """Return the operation that reads a quantized parameter."""
        return {"deserialize": _Deserialize}

    def _process_model_after_weight_loading(self, model: Any, **options: Any) -> Any:
        for name in self.expert_names:
            path, _, parameter = name.rpartition(".")
            module = model.get_submodule(path)
            state = getattr(module, STATES, {}).get(parameter)
            if state is not None:
                register_parametrization(
                    module, parameter, parametrize.Bnb4bitParametrization(state), unsafe=True
                )
                parametrize._register_parametrization_hooks(module, parameter)
        if self.expert_names:  # in 4 bits they cannot be split into those of the checkpoint
            model._weight_conversions = [
                conversion
                for conversion in model._weight_conversions or ()
                if not any("experts" in target for target in conversion.target_patterns)
            ]
        return super()._process_model_after_weight_loading(model, **options)


class _Quantize(Bnb4bitQuantize):
    """Quantize a linear layer or a tensor of fused experts."""

    def convert(self, input_dict: Any, *args: Any, **options: Any) -> Any:
        """Return the parameter in 4 bits by its name."""
        (name, value), *_ = input_dict.items()
        quantizer = self.hf_quantizer
        if name not in quantizer.expert_names:
            return super().convert(input_dict, *args, **options)
        config = quantizer.quantization_config
        data, state = bitsandbytes.functional.quantize_4bit(
            (value[0] if isinstance(value, list) else value).contiguous(),
            compress_statistics=config.bnb_4bit_use_double_quant,
            quant_type=config.bnb_4bit_quant_type,
        )
        _keep_state(options["model"], name, state)
        return {name: torch.nn.Parameter(data, requires_grad=False)}


class _Deserialize(Bnb4bitDeserialize):
    """Read a linear layer or fused experts that were saved in 4 bits."""

    def convert(self, input_dict: Any, *args: Any, **options: Any) -> Any:
        """Return the parameter in 4 bits by its name."""
        full_name, model = options["full_layer_name"], options["model"]
        if full_name not in self.hf_quantizer.expert_names or len(input_dict) == 1:
            return super().convert(input_dict, *args, **options)
        parts = {
            name: value[0] if isinstance(value, list) else value
            for name, value in input_dict.items()
        }
        key = min(parts, key=len)
        data = parts.pop(key)
        state = bitsandbytes.functional.QuantState.from_dict(
            {name.removeprefix(f"{key}."): value for name, value in parts.items()}, data.device
        )
        _keep_state(model, full_name, state)
        return {key: torch.nn.Parameter(data, requires_grad=False)}


def iterate_fused_experts(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and tensor of the weights of fused experts."""
    for name, parameter in model.named_parameters():
        path, _, last = name.rpartition(".")
        if parameter.ndim == 3 and last in EXPERT_PARAMETERS and path.endswith(".experts"):
            yield name, parameter


def _replace_linear_subclasses(model: Any) -> None:
    """Turn layers that compute what nn.Linear does into nn.Linear, which can be quantized."""
    for module in model.modules():
        if type(module).__name__ in PLAIN_LINEAR_CLASSES:
            module.__class__ = torch.nn.Linear


def _keep_state(model: Any, name: str, state: Any) -> None:
    """Keep the scales of a parameter on its module."""
    path, _, parameter = name.rpartition(".")
    module = model.get_submodule(path)
    if not hasattr(module, STATES):
        setattr(module, STATES, {})
    getattr(module, STATES)[parameter] = state
