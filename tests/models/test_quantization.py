from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import model_io, quantization
from lockstep.params import Precision

IDS = [[1, 30, 31, 32, 33, 40, 41, 2]]


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.tensor(IDS)).logits.float()


def quantized(
    folder: Path,
    method: quantization.QuantizationMethod,
    double: bool,
    precision: Precision = "fp32",
) -> Any:
    config = quantization.build_config(method, double, precision)
    return model_io.load_model(folder, "auto", "eager", "cpu", config)


@pytest.mark.parametrize(("method", "double"), [("nf4", True), ("nf4", False), ("int8", False)])
def test_quantized_saved_and_reloaded_it_answers_as_before(
    tiny: Path, tmp_path: Path, loaded: Any, method: quantization.QuantizationMethod, double: bool
):
    import torch

    model = quantized(tiny, method, double)
    layers = [m for m in loaded.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    assert quantization.count_quantized_layers(model) == len(layers) == 2 * 7
    model_io.save_model(model, tmp_path / "quantized", 1.0)
    assert model_io.count_weight_bytes(tmp_path / "quantized") < model_io.count_weight_bytes(tiny)
    again = model_io.load_model(tmp_path / "quantized", "auto", "eager", "cpu")
    assert quantization.count_quantized_layers(again) == len(layers)
    assert torch.equal(logits(again), logits(model))
    pair = torch.stack([logits(again).flatten(), logits(loaded).flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.9


def test_quantized_twice_it_is_byte_identical(tiny: Path, tmp_path: Path):
    for name in ("one", "other"):
        model_io.save_model(quantized(tiny, "nf4", True), tmp_path / name, 1.0)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_int8_is_nearer_than_nf4(tiny: Path, loaded: Any):
    want = logits(loaded)
    four, eight = (logits(quantized(tiny, method, False)) for method in ("nf4", "int8"))
    assert (eight - want).abs().mean() < (four - want).abs().mean()


def test_bf16_products_are_near_those_of_fp32_but_others(tiny: Path):
    fine, coarse = (
        logits(quantized(tiny, "nf4", True, precision)) for precision in ("fp32", "bf16")
    )
    assert 0 < (coarse - fine).abs().max() < 0.05 * fine.abs().max()


def test_a_layer_left_out_is_refused_by_name(tiny: Path):
    config = quantization.build_config("int8", False, "fp32")
    config.llm_int8_skip_modules = ["lm_head", "model.layers.1.mlp.up_proj"]
    model = model_io.load_model(tiny, "auto", "eager", "cpu", config)
    with pytest.raises(UserError, match=r"1 linear layers were not quantized: 1\.mlp\.up_proj"):
        quantization.count_quantized_layers(model)


def test_an_unquantized_model_is_refused(loaded: Any):
    with pytest.raises(UserError, match="14 linear layers were not quantized"):
        quantization.count_quantized_layers(loaded)
