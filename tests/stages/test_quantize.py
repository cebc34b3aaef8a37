"""`stages.quantize` writes a smaller model and measures how much its outputs change."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.inference import quantization_loss
from lockstep.models import heads, quantization

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


def test_a_pruned_model_is_a_plain_folder_in_the_precision_of_the_merged_model(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    message = run_stage_in_process(
        *ARGUMENTS, changes={"quantize.method": "pruned", "quantize.pattern": "2:4"}
    )
    assert message.startswith("quantize: pruned, 50% of the weights of 14 layers are zero (2:4), ")
    base, out = workspace / "base", workspace / "quantized"
    assert (out / "config.json").read_bytes() == (base / "config.json").read_bytes()
    assert read_tensor_names(out) == read_tensor_names(base)
    summary = json.loads((out / "quantize.json").read_text())
    assert summary["bytes_after"] == summary["bytes_before"]
    assert summary["bits_per_weight"] == pytest.approx(32, rel=0.05)
    assert (summary["zero_share"], summary["pattern"]) == (0.5, "2:4")
    assert summary["perplexity_after"] > summary["perplexity_before"]


def test_bits_per_weight_count_all_bytes_of_the_weights(
    workspace: Path, run_stage_in_process: Callable[..., str], loaded_model: Any
):
    run_stage_in_process(*ARGUMENTS, changes={"quantize.method": "fp4"})
    summary = json.loads((workspace / "quantized/quantize.json").read_text())
    size = (workspace / "quantized/model.safetensors").stat().st_size
    expected = 8 * size / loaded_model.num_parameters()
    assert summary["bits_per_weight"] == pytest.approx(expected, abs=0.005)


def test_too_much_loss_is_one_line_and_nothing_is_written(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    changes = {
        "quantize.method": "pruned",
        "quantize.pattern": "2:4",
        "quantize.max_perplexity_increase": 0.0,
    }
    with pytest.raises(UserError, match=r"quantize\.max_perplexity_increase: .* at most 0\.00%; "):
        run_stage_in_process(*ARGUMENTS, changes=changes)
    assert not list(workspace.glob("*quantized*"))


def test_the_limit_of_the_loss_is_a_share_of_the_perplexity_before():
    loss = {"perplexity_before": 2.0, "perplexity_after": 2.1}
    quantization_loss.check_perplexity(loss, None)
    quantization_loss.check_perplexity(loss, 0.051)
    with pytest.raises(UserError, match=r"from 2\.0 to 2\.1, which is 5\.00% more and not at most"):
        quantization_loss.check_perplexity(loss, 0.049)
    quantization_loss.check_perplexity({"perplexity_before": 2.0, "perplexity_after": 1.9}, 0.0)


@pytest.mark.parametrize("method", ["nf4", "pruned"])
def test_a_disk_that_is_too_small_is_one_line_before_weights_are_written(
    method: str,
    workspace: Path,
    run_stage_in_process: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
):
    usage = shutil.disk_usage(workspace)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"the weights need [\d,]+ bytes, and 1,000 are free"):
        run_stage_in_process(*ARGUMENTS, changes={"quantize.method": method})
    assert not list(workspace.glob("*quantized*"))


def test_an_empty_validation_split_is_one_line(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    (workspace / "prepared/validation.jsonl").write_text("")
    with pytest.raises(UserError, match=r"prepared/validation\.jsonl: no records .* raise prepare"):
        run_stage_in_process(*ARGUMENTS)
    assert not (workspace / "quantized").exists()


def test_a_limit_of_the_perplexity_needs_a_generative_model(tmp_path: Path):
    settings = quantization.QuantizeParams(
        method="nf4", double_quantization=True, precision="fp32", max_perplexity_increase=0.1
    )
    head = heads.Head(problem="regression", labels=[])
    with pytest.raises(UserError, match="a model with a head has no perplexity; remove it"):
        quantization_loss.read_compared_records(tmp_path / "none", settings, head)


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
