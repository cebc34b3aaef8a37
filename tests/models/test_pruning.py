"""Pruned layers hold the zeros that the reference implementations choose, and no others."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import loading, pruning, saving
from lockstep.models.quantization import QuantizeParams


def make_settings(**changes: Any) -> QuantizeParams:
    """Return the params of a pruned model, with changes."""
    values = {"method": "pruned", "double_quantization": True, "precision": "fp32"}
    return QuantizeParams.model_validate(values | changes)


def write_pruned(model: Path, out: Path, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """Prune the model of a folder; return the model that was written, and the summary."""
    form = pruning.write_pruned_model(model, out, make_settings(**changes), "eager", 1.0)
    return loading.load_model(out, "auto", "eager", "cpu"), form.summary


@pytest.mark.parametrize("sparsity", [0.25, 0.7])
def test_the_smallest_weights_of_each_layer_are_zero_and_the_others_unchanged(
    tiny_model: Path, tmp_path: Path, loaded_model: Any, sparsity: float
):
    import torch

    model, summary = write_pruned(tiny_model, tmp_path / "out", sparsity=sparsity)
    matrices = {label: name for name, label in list_labels(model)}
    assert len(matrices) == summary["pruned_layers"] == 2 * 7
    assert summary["zero_share"] == pytest.approx(sparsity, abs=1e-3)
    originals = dict(loaded_model.named_parameters())
    for name, pruned in model.named_parameters():
        original = originals[name]
        if name not in matrices.values():
            assert torch.equal(pruned, original), name
            continue
        kept = pruned != 0
        assert torch.equal(pruned[kept], original[kept])
        assert original[~kept].abs().max() <= original[kept].abs().min()
        assert (~kept).sum() == round(sparsity * original.numel())


def list_labels(model: Any) -> list[tuple[str, str]]:
    """Return (name in the model, name in errors) of each matrix that is pruned."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        (names[id(getattr(module, name))], label)
        for module, name, label in pruning.iterate_matrices(model)
    ]


def test_two_of_four_are_those_of_torchs_sparsifier(tiny_model: Path, tmp_path: Path):
    import torch
    from torch.ao.pruning import WeightNormSparsifier

    model, summary = write_pruned(tiny_model, tmp_path / "out", pattern="2:4")
    assert (summary["zero_share"], summary["pattern"]) == (0.5, "2:4")
    reference = loading.load_model(tiny_model, "auto", "eager", "cpu")
    layers = [
        {"tensor_fqn": f"{name}.weight"}
        for name, module in reference.model.layers.named_modules(prefix="model.layers")
        if isinstance(module, torch.nn.Linear)
    ]
    sparsifier = WeightNormSparsifier(
        sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2
    )
    sparsifier.prepare(reference, layers)
    sparsifier.step()
    sparsifier.squash_mask()
    for name, expected in reference.named_parameters():
        assert torch.equal(dict(model.named_parameters())[name], expected), name


def test_groups_of_a_transposed_layer_are_inputs_of_one_output():
    import torch
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    layer, linear = Conv1D(6, 8), torch.nn.Linear(8, 6)
    linear.weight.data = layer.weight.data.T.clone()
    with torch.no_grad():
        for module in (layer, linear):
            pruning.prune_matrix(module, "weight", "x", make_settings(pattern="2:4"))
    assert torch.equal(layer.weight.T, linear.weight)
    assert (layer.weight == 0).sum() == 24


def test_a_layer_whose_inputs_are_no_multiple_of_four_is_named():
    import torch

    with torch.no_grad(), pytest.raises(UserError) as error:
        settings = make_settings(pattern="2:4")
        pruning.prune_matrix(torch.nn.Linear(6, 4), "weight", "0.mlp.weight", settings)
    assert error.value.message == (
        "params.yaml: quantize.pattern: 0.mlp.weight has 6 inputs, not a multiple of 4; set it to "
        "unstructured"
    )


def test_experts_are_pruned_and_their_routers_are_not(tmp_path: Path):
    import torch
    import transformers as hf

    torch.manual_seed(0)
    config = hf.Qwen3MoeConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, head_dim=16,
        num_key_value_heads=1, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2,
    )  # fmt: skip
    saving.save_model(hf.Qwen3MoeForCausalLM(config), tmp_path / "base", 1.0)
    model, summary = write_pruned(tmp_path / "base", tmp_path / "out")
    shares = {
        name: float((parameter == 0).float().mean()) for name, parameter in model.named_parameters()
    }
    pruned = {name for name, share in shares.items() if share}
    assert pruned == {name for name in shares if "proj" in name}
    assert {round(shares[name], 2) for name in pruned} == {0.5}
    assert summary["pruned_layers"] == len(pruned)
