"""The base is loaded as the strategy needs it; result and summary hold what was trained."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from lockstep import records
from lockstep.models.quantization import count_quantized_layers
from lockstep.records import Record
from lockstep.training.training_plan import Params
from lockstep.training.training_run import load_model

pytestmark = pytest.mark.slow

ARGUMENTS = ("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json")
LINEAR_LAYERS = 14
"""Number of linear layers in the tiny model: 2 blocks with 4 in attention and 3 in the MLP."""


@pytest.mark.parametrize("double_quantization", [True, False])
def test_qlora_loads_the_base_in_4_bits(
    tiny_model: Path, make_params: Callable[..., Params], double_quantization: bool
):
    from bitsandbytes.nn import Linear4bit

    options = {"r": 4, "double_quantization": double_quantization}
    model = load_model(tiny_model, make_params(strategy="qlora", adapter=options), None, "cpu")
    assert count_quantized_layers(model) == LINEAR_LAYERS
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert len(layers) == LINEAR_LAYERS
    for layer in layers:
        assert layer.weight.quant_type == "nf4"
        assert layer.weight.quant_state.nested == double_quantization


@pytest.mark.parametrize(
    ("strategy", "precision", "dtype"),
    [
        ("full", "bf16", "float32"),
        ("freeze", "bf16", "float32"),
        ("lora", "bf16", "bfloat16"),
        ("lora", "fp32", "float32"),
    ],
)
def test_trained_weights_are_loaded_in_32_bits_and_frozen_ones_in_the_precision(
    tiny_model: Path, make_params: Callable[..., Params], strategy: str, precision: str, dtype: str
):
    model = load_model(tiny_model, make_params(strategy=strategy, precision=precision), None, "cpu")
    assert {str(p.dtype) for p in model.parameters()} == {f"torch.{dtype}"}


def count_elements(folder: Path) -> int:
    """Return the number of elements in the weight files of a folder."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "np") as tensors:
            total += sum(tensors.get_tensor(name).size for name in tensors.keys())  # noqa: SIM118 - no mapping
    return total


@pytest.mark.parametrize("strategy", ["lora", "full", "freeze"])
def test_the_summary_counts_trained_and_all_parameters(
    workspace: Path, run_stage_in_process: Callable[..., str], strategy: str
):
    stderr = run_stage_in_process(
        *ARGUMENTS, "out", changes={"train.strategy": strategy, "train.epochs": 0.5}
    )
    summary = json.loads((workspace / "out/summary.json").read_text())
    base, saved = count_elements(workspace / "base"), count_elements(workspace / "out/model")
    if strategy == "lora":  # the file has the adapter alone
        assert (summary["trained_parameters"], summary["parameters"]) == (saved, base + saved)
    elif strategy == "full":
        assert summary["trained_parameters"] == summary["parameters"] == base == saved
    else:
        assert 0 < summary["trained_parameters"] < summary["parameters"] == base
    assert f"{summary['trained_parameters']:,} parameters trained" in stderr


def test_rows_with_an_undesirable_answer_are_skipped_and_counted(
    workspace: Path, run_stage_in_process: Callable[..., str], corpus: list[Record]
):
    """sft with default settings trains on an unpaired preference set."""
    rows = [replace(row, desirable=index % 3 > 0) for index, row in enumerate(corpus)]
    records.write(workspace / "augmented/train.jsonl", rows)
    records.write(workspace / "prepared/validation.jsonl", rows)
    stderr = run_stage_in_process(*ARGUMENTS, "out", changes={"train.epochs": 0.5})
    assert "train: 4 rows with an undesirable answer are skipped" in stderr
    summary = json.loads((workspace / "out/summary.json").read_text())
    assert (summary["rows"], summary["rows_skipped"]) == (8, 4)


def test_large_trained_weights_are_written_as_shards(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    changes = {"train.strategy": "full", "train.epochs": 0.5, "weights.max_shard_gb": 1e-4}
    run_stage_in_process(*ARGUMENTS, "out", changes=changes)
    folder = workspace / "out/model"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shards = {path.name for path in folder.glob("*.safetensors")}
    assert set(index["weight_map"].values()) == shards
    assert len(shards) > 1
