"""`stages.quantize` writes a smaller model and measures how much its outputs change."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ARGUMENTS = ("quantize", "base", "prepared/validation.jsonl", "quantized")


def test_a_smaller_model_and_its_perplexity_are_written(
    workspace: Path, run_stage: Callable[..., Any]
):
    run = run_stage(*ARGUMENTS)
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith("quantize: nf4, ")
    assert run.stderr.count("\n") == 1
    out = workspace / "quantized"
    assert sorted(path.name for path in out.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "quantize.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    summary = json.loads((out / "quantize.json").read_text())
    assert (summary["method"], summary["quantized_layers"]) == ("nf4", 14)
    assert 0.5 < summary["quantized_share"] < 0.9  # embeddings and output layer stay
    assert summary["bytes_before"] == (workspace / "base/model.safetensors").stat().st_size
    assert summary["bytes_after"] == (out / "model.safetensors").stat().st_size
    assert summary["bytes_after"] < summary["bytes_before"]
    assert summary["perplexity_before"] != summary["perplexity_after"]
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    assert config["bnb_4bit_use_double_quant"] is True


def test_without_double_quantization_the_scales_are_not_quantized(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    run_stage_in_process(*ARGUMENTS, changes={"quantize.double_quantization": False})
    names = read_tensor_names(workspace / "quantized")
    assert any(name.endswith("absmax") for name in names)
    assert not any("nested" in name for name in names)


def test_large_quantized_weights_are_written_as_shards(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    run_stage_in_process(*ARGUMENTS, changes={"weights.max_shard_gb": 5e-5})
    index = json.loads((workspace / "quantized/model.safetensors.index.json").read_text())
    shards = {path.name for path in (workspace / "quantized").glob("*.safetensors")}
    assert set(index["weight_map"].values()) == shards
    assert len(shards) > 1
    assert any("nested" in name for name in read_tensor_names(workspace / "quantized"))


def test_a_quantized_model_keeps_the_tokenizer_and_all_templates(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    base, quantized = workspace / "base", workspace / "quantized"
    config = json.loads((base / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    (base / "additional_chat_templates").mkdir()
    (base / "additional_chat_templates/rag.jinja").write_text("{{ messages[0].content }}")
    message = run_stage_in_process(*ARGUMENTS)
    assert ", 100% of the matrices in the transformer blocks, " in message
    names = ["tokenizer_config.json", "tokenizer.json", "additional_chat_templates/rag.jinja"]
    for name in names:
        assert (quantized / name).read_bytes() == (base / name).read_bytes(), name


def read_tensor_names(folder: Path) -> set[str]:
    """Return the names of all tensors in a model folder."""
    from safetensors import safe_open

    names: set[str] = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            names |= set(file.keys())
    return names
