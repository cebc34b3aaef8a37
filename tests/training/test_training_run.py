"""The base is loaded in the form that the strategy trains, and large results are sharded."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.models import quantization
from lockstep.training import training_run
from lockstep.training.training_plan import Params
from tests.conftest import tiny_params


def build_params(**adapter: bool) -> Params:
    """Return the params of train for qlora with these options of the adapter."""
    changes = {"train.strategy": "qlora", "train.adapter": adapter}
    values = tiny_params(changes)
    return Params.model_validate({name: values[name] for name in Params.model_fields})


@pytest.mark.parametrize("double", [True, False])
def test_qlora_loads_the_base_in_4_bits_with_or_without_double_quantization(
    tiny: Path, double: bool
):
    from bitsandbytes.nn import Linear4bit

    params = build_params(double_quantization=double)
    model = training_run.load_model(tiny, params, None, "cpu")
    assert quantization.count_quantized_layers(model) == 14
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert [layer.weight.quant_state.nested for layer in layers] == [double] * 14


@pytest.mark.slow
def test_large_trained_weights_are_written_as_shards(
    workplace: Path, performed: Callable[..., str]
):
    performed(
        *("train", "base", "augmented", "prepared/validation.jsonl", "prepared/labels.json", "out"),
        changes={
            "train.strategy": "full",
            "train.adapter": {},
            "train.epochs": 0.5,
            "weights.max_shard_gb": 1e-4,
        },
    )
    folder = workplace / "out/model"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shards = {path.name for path in folder.glob("*.safetensors")}
    assert set(index["weight_map"].values()) == shards
    assert len(shards) > 1
