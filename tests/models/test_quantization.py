"""Quantized layers keep the model's outputs approximately, and their options have an effect."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import loading, quantization, saving, weight_counts
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


@pytest.mark.parametrize(
    ("method", "double"), [("nf4", True), ("nf4", False), ("fp4", True), ("int8", False)]
)
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


def test_fp4_codes_are_those_of_bitsandbytes_fp4(tiny_model: Path, loaded_model: Any):
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    layer = load_quantized(tiny_model, "fp4", False).model.layers[1].mlp.up_proj
    original = loaded_model.model.layers[1].mlp.up_proj.weight.data
    expected = dequantize_4bit(*quantize_4bit(original, quant_type="fp4"))
    assert torch.equal(dequantize_4bit(layer.weight.data, layer.weight.quant_state), expected)
    assert len(set((expected / expected.abs().max()).flatten().tolist())) > 1
    assert not torch.equal(expected, dequantize_4bit(*quantize_4bit(original, quant_type="nf4")))


@pytest.mark.parametrize(
    ("method", "capability", "has_kernels", "words"),
    [
        ("int8", (7, 0), True, ["int8 needs", "7.5", "has 7.0", "cpu, or the method to", "nf4"]),
        ("int8", (5, 2), True, ["int8 needs", "has 5.2", "to pruned"]),
        ("fp4", (5, 2), True, ["fp4 needs", "6.0", "to pruned"]),
        ("nf4", (9, 0), False, ["nf4: bitsandbytes has no kernels", "runtime.device: cpu"]),
    ],
)
def test_a_gpu_that_lacks_a_method_is_named_with_the_remedy(
    method: str, capability: tuple[int, int], has_kernels: bool, words: list[str]
):
    problem = quantization.describe_missing_kernels(method, capability, has_kernels)
    assert problem
    assert [word for word in words if word not in problem] == []
    assert ("or nf4" in problem) == (capability == (7, 0))
    assert quantization.describe_missing_kernels(method, (7, 5), True) is None


def test_sparsity_must_fit_the_pattern():
    settings = {"method": "pruned", "double_quantization": True, "precision": "fp32"}
    with pytest.raises(ValueError, match=r"sparsity: 0\.4 does not fit the pattern 2:4; set 0\.5"):
        quantization.QuantizeParams(**settings, pattern="2:4", sparsity=0.4)
    assert quantization.QuantizeParams(**settings, pattern="2:4").sparsity == 0.5


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


SHAPE: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 64, "initializer_range": 0.1,
}  # fmt: skip
EXPERTS: dict[str, Any] = {**SHAPE, "intermediate_size": 64, "num_experts_per_tok": 2}


def build_model(name: str) -> Any:
    """Return a random model whose weights transformers itself does not quantize."""
    import torch
    import transformers as hf

    torch.manual_seed(0)
    match name:
        case "qwen3_moe":
            qwen = hf.Qwen3MoeConfig(**EXPERTS, moe_intermediate_size=64, num_experts=4)
            return hf.Qwen3MoeForCausalLM(qwen)
        case "gpt_oss":
            return hf.GptOssForCausalLM(hf.GptOssConfig(**EXPERTS, num_local_experts=4))
        case "mixtral":
            return hf.MixtralForCausalLM(hf.MixtralConfig(**EXPERTS, num_local_experts=4))
        case "granitemoe":
            granite = hf.GraniteMoeConfig(**EXPERTS, num_local_experts=4)
            return hf.GraniteMoeForCausalLM(granite)
    falcon = {key: SHAPE[key] for key in list(SHAPE)[:4]}
    return hf.FalconForCausalLM(hf.FalconConfig(**falcon, initializer_range=0.1))


@pytest.fixture(scope="module", params=["qwen3_moe", "gpt_oss", "mixtral", "granitemoe", "falcon"])
def special_base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model with fused experts or with a linear class of its own."""
    folder = tmp_path_factory.mktemp(request.param) / request.param
    saving.save_model(build_model(request.param), folder, 1.0)
    return folder


def test_fused_experts_and_falcons_layers_are_quantized_saved_and_loaded(
    special_base: Path, tmp_path: Path
):
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    original = loading.load_model(special_base, "auto", "eager", "cpu")
    model = load_quantized(special_base, "nf4", True)
    before, after = compute_logits(original), compute_logits(model)
    assert torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1] > 0.8
    for name, parameter in original.named_parameters():
        if parameter.ndim == 3:
            data, state = quantize_4bit(parameter, compress_statistics=True, quant_type="nf4")
            module = model.get_submodule(name.rpartition(".")[0])
            expected = dequantize_4bit(data, state)
            assert torch.equal(getattr(module, name.rpartition(".")[2]), expected)

    config = quantization.build_config("nf4", True, "fp32")
    counts = weight_counts.count_weights(special_base, None, config)
    assert counts.total == original.num_parameters()
    assert counts.block_share > 0.95
    saving.save_model(model, tmp_path, 1.0)
    size = counts.count_bytes(quantization.get_parameter_bytes("nf4", True), 4.0)
    assert saving.count_weight_bytes(tmp_path) == pytest.approx(size, rel=0.3)  # and headers
    reloaded = loading.load_model(tmp_path, "auto", "eager", "cpu")
    assert torch.equal(compute_logits(reloaded), after)


def test_a_large_part_in_full_precision_is_refused_with_its_size(tmp_path: Path):
    model = build_model("qwen3_moe")
    saving.save_model(model, tmp_path, 1.0)
    config = quantization.build_config("int8", False, "fp32")
    settings = quantization.QuantizeParams(
        method="int8", double_quantization=False, precision="fp32"
    )
    with pytest.raises(UserError, match=r"quantize\.method: bitsandbytes can quantize") as error:
        quantization.check_quantization(tmp_path, None, settings, config)
    assert "mlp.experts.gate_up_proj for example" in error.value.message
    assert error.value.message.endswith("; set it to nf4")
    gigabytes = float(error.value.message.partition("would take ")[2].partition(" GB")[0])
    projections = [p for n, p in model.named_parameters() if "proj.weight" in n]
    eight_bits = sum(parameter.numel() for parameter in projections)
    assert gigabytes * 1e9 == pytest.approx(4 * model.num_parameters() - 3 * eight_bits, rel=0.01)


def test_the_counts_are_those_of_the_loaded_model(tiny_model: Path, loaded_model: Any):
    counts = weight_counts.count_weights(tiny_model)
    assert (counts.quantized, counts.full) == (0, loaded_model.num_parameters())
    config = quantization.build_config("int8", False, "fp32")
    counts = weight_counts.count_weights(tiny_model, None, config)
    layers = [m for m in loaded_model.modules() if type(m).__name__ == "Linear"]
    assert counts.quantized == sum(m.weight.numel() for m in layers) - layers[-1].weight.numel()
    assert counts.total == loaded_model.num_parameters()
    assert counts.block_share == 1.0
    assert counts.largest_full == ""
