"""Quantized layers keep the model's outputs approximately, and their options have an effect."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import loading, quantization, saving
from lockstep.params import Precision

IDS = [[1, 30, 31, 32, 33, 40, 41, 2]]


def compute_logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.tensor(IDS)).logits.float()


def load_quantized(
    folder: Path,
    method: quantization.QuantizationMethod,
    double: bool,
    precision: Precision = "fp32",
) -> Any:
    config = quantization.build_config(method, double, precision)
    return loading.load_model(folder, "auto", "eager", "cpu", config)


@pytest.mark.parametrize(("method", "double"), [("nf4", True), ("nf4", False), ("int8", False)])
def test_a_quantized_model_has_the_same_logits_after_saving_and_loading(
    tiny_model: Path,
    tmp_path: Path,
    loaded_model: Any,
    method: quantization.QuantizationMethod,
    double: bool,
):
    import torch

    model = load_quantized(tiny_model, method, double)
    layers = [m for m in loaded_model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    assert quantization.count_quantized_layers(model) == len(layers) == 2 * 7
    saving.save_model(model, tmp_path / "quantized", 1.0)
    assert saving.count_weight_bytes(tmp_path / "quantized") < saving.count_weight_bytes(tiny_model)
    reloaded = loading.load_model(tmp_path / "quantized", "auto", "eager", "cpu")
    assert quantization.count_quantized_layers(reloaded) == len(layers)
    assert torch.equal(compute_logits(reloaded), compute_logits(model))
    pair = torch.stack([compute_logits(reloaded).flatten(), compute_logits(loaded_model).flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.9


@pytest.mark.parametrize("double", [True, False])
def test_double_quantization_quantizes_the_scales_of_every_layer(tiny_model: Path, double: bool):
    from bitsandbytes.nn import Linear4bit

    model = load_quantized(tiny_model, "nf4", double)
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert [layer.weight.quant_state.nested for layer in layers] == [double] * 14


def test_quantizing_twice_gives_identical_bytes(tiny_model: Path, tmp_path: Path):
    for name in ("one", "other"):
        saving.save_model(load_quantized(tiny_model, "nf4", True), tmp_path / name, 1.0)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_int8_changes_logits_less_than_nf4(tiny_model: Path, loaded_model: Any):
    expected = compute_logits(loaded_model)
    nf4, int8 = (
        compute_logits(load_quantized(tiny_model, method, False)) for method in ("nf4", "int8")
    )
    assert (int8 - expected).abs().mean() < (nf4 - expected).abs().mean()


def test_bf16_products_differ_slightly_from_fp32_products(tiny_model: Path):
    fp32, bf16 = (
        compute_logits(load_quantized(tiny_model, "nf4", True, precision))
        for precision in ("fp32", "bf16")
    )
    assert 0 < (bf16 - fp32).norm() < 0.1 * fp32.norm()


def test_the_error_for_an_unquantized_layer_names_it(tiny_model: Path):
    config = quantization.build_config("int8", False, "fp32")
    config.llm_int8_skip_modules = ["lm_head", "model.layers.1.mlp.up_proj"]
    model = loading.load_model(tiny_model, "auto", "eager", "cpu", config)
    with pytest.raises(UserError, match=r"1 linear layers were not quantized: 1\.mlp\.up_proj"):
        quantization.count_quantized_layers(model)


def test_a_model_without_quantized_layers_is_an_error(loaded_model: Any):
    with pytest.raises(UserError, match="14 linear layers were not quantized"):
        quantization.count_quantized_layers(loaded_model)
