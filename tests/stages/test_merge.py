"""`stages.merge` merges an adapter as PEFT does, and gives the result the form of its base."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import loading, saving
from tests.merging.random_adapters import save_lora

pytestmark = pytest.mark.slow

ARGUMENTS = ("merge", "base", "trained", "prepared/validation.jsonl", "adapters", "merged")
OUTPUT_FILES = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "merge.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


@pytest.fixture
def adapter(workspace: Path) -> Path:
    """The folder trained/model with a random adapter that changes every linear layer."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    folder = workspace / "trained/model"
    config = LoraConfig(
        r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
    )
    base = loading.load_model(workspace / "base", "auto", "eager", "cpu")
    saving.save_model(get_peft_model(base, config), folder, 1.0)
    saving.save_tokenizer(loading.load_tokenizer(workspace / "base").pretrained, folder)
    return folder


def test_the_merged_weights_equal_those_that_peft_merges(
    workspace: Path, adapter: Path, run_stage: Callable[..., Any]
):
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    run = run_stage(*ARGUMENTS)
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith('merge: {"prompts": 4, ')
    assert sorted(path.name for path in (workspace / "merged").iterdir()) == OUTPUT_FILES
    summary = json.loads((workspace / "merged/merge.json").read_text())
    assert summary["prompts"] == 4
    assert 0 <= summary["largest_difference"] < 1e-4
    assert summary["largest_cast_difference"] == 0.0  # the base has 32 bits

    base = AutoModelForCausalLM.from_pretrained(workspace / "base")
    PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(workspace / "peft")
    merged, expected, before = (
        load_file(workspace / name / "model.safetensors") for name in ("merged", "peft", "base")
    )
    assert merged.keys() == expected.keys() == before.keys()
    assert all(torch.equal(merged[name], expected[name]) for name in merged)
    changed = {name for name in merged if not torch.equal(merged[name], before[name])}
    assert changed == {name for name in merged if name.endswith("_proj.weight")}


def test_a_large_merged_model_is_written_as_shards(
    workspace: Path, adapter: Path, run_stage_in_process: Callable[..., str]
):
    run_stage_in_process(*ARGUMENTS, changes={"weights.max_shard_gb": 1e-4})
    index = json.loads((workspace / "merged/model.safetensors.index.json").read_text())
    shards = {path.name for path in (workspace / "merged").glob("*.safetensors")}
    assert set(index["weight_map"].values()) == shards
    assert len(shards) > 1


def test_a_merge_that_changes_logits_is_an_error(
    workspace: Path,
    adapter: Path,
    run_stage: Callable[..., Any],
    assert_user_error: Callable[..., None],
):
    run = run_stage(*ARGUMENTS, changes={"merge.tolerance": 1e-12})
    assert_user_error(
        run, workspace / "merged", "merged outputs differ by", "merge.tolerance 1e-12"
    )


def write_published_base(workspace: Path) -> None:
    """Turn the base into a folder in bf16 without a pad token, with a named chat template."""
    import torch

    base = workspace / "base"
    model = loading.load_model(base, "bfloat16", "eager", "cpu")
    assert model.dtype == torch.bfloat16
    saving.save_model(model, base, 1.0)
    config = json.loads((base / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    (base / "additional_chat_templates").mkdir()
    (base / "additional_chat_templates/rag.jinja").write_text("{{ messages[0].content }}")


def assert_form_of_base(workspace: Path) -> None:
    """Assert that the merged model has the precision and the tokenizer of its base."""
    base, merged = workspace / "base", workspace / "merged"
    names = {path.relative_to(merged).as_posix() for path in merged.rglob("*") if path.is_file()}
    assert names == {*OUTPUT_FILES, "additional_chat_templates/rag.jinja"}
    for name in names - {"merge.json", "model.safetensors"}:
        assert (merged / name).read_bytes() == (base / name).read_bytes(), name
    assert read_dtypes(merged) == read_dtypes(base) == {"BF16"}


def read_dtypes(folder: Path) -> set[str]:
    """Return the precisions of the tensors in a model's weight file."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="pt") as file:
        names = file.keys()
        return {file.get_slice(name).get_dtype() for name in names}


def test_a_merged_model_keeps_precision_configuration_and_tokenizer_of_its_base(
    workspace: Path, adapter: Path, run_stage_in_process: Callable[..., str]
):
    write_published_base(workspace)
    run_stage_in_process(*ARGUMENTS)
    assert_form_of_base(workspace)
    summary = json.loads((workspace / "merged/merge.json").read_text())
    assert summary["largest_difference"] < 1e-4 < 1e-3 < summary["largest_cast_difference"]


def test_weights_that_were_trained_whole_get_the_form_of_their_base(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    import torch
    from safetensors.torch import load_file

    write_published_base(workspace)
    model = loading.load_model(workspace / "base", "float32", "eager", "cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.001)
    # what trainers change
    model.config.output_router_logits = True
    model.config.attention_dropout = 0.5
    model.config.pad_token_id = 5
    model.generation_config.eos_token_id = [1, 2]
    saving.save_model(model, workspace / "trained/model", 1.0)
    tokenizer = loading.load_tokenizer(workspace / "base").pretrained
    saving.save_tokenizer(tokenizer, workspace / "trained/model")
    run_stage_in_process(*ARGUMENTS)
    assert_form_of_base(workspace)
    trained, merged = (
        load_file(workspace / name / "model.safetensors") for name in ("trained/model", "merged")
    )
    assert merged.keys() == trained.keys()
    assert all(torch.equal(merged[name], trained[name].bfloat16()) for name in merged)
    summary = json.loads((workspace / "merged/merge.json").read_text())
    assert summary["largest_difference"] == 0.0 < summary["largest_cast_difference"]


def test_adapters_are_combined_with_the_trained_one(
    workspace: Path, adapter: Path, run_stage_in_process: Callable[..., str]
):
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file

    other = save_lora(workspace / "base", workspace / "adapters/team/support", 2)
    combination = {
        "merge.adapters": [{"path": "team/support", "weight": -0.5}], "merge.trained_weight": 1.5,
    }  # fmt: skip
    run_stage_in_process(*ARGUMENTS, changes=combination)
    names = sorted(path.name for path in (workspace / "merged").iterdir())
    assert names == OUTPUT_FILES
    summary = json.loads((workspace / "merged/merge.json").read_text())
    assert summary["combination"] == "cat"
    assert [(a["name"], a["weight"], a["rank"]) for a in summary["adapters"]] == [
        ("trained", 1.5, 4), ("team/support", -0.5, 4)
    ]  # fmt: skip
    assert summary["largest_difference"] < 1e-4

    def merge_alone(folder: Path) -> dict[str, Any]:
        base = loading.load_model(workspace / "base", "auto", "eager", "cpu")
        return dict(PeftModel.from_pretrained(base, folder).merge_and_unload().state_dict())

    base = load_file(workspace / "base/model.safetensors")
    merged = load_file(workspace / "merged/model.safetensors")
    trained, support = merge_alone(adapter), merge_alone(other)
    for name, weight in base.items():
        expected = weight + 1.5 * (trained[name] - weight) - 0.5 * (support[name] - weight)
        assert torch.allclose(merged[name], expected, atol=1e-5), name


def test_a_merge_by_layers_writes_the_same_weights(
    workspace: Path, adapter: Path, run_stage_in_process: Callable[..., str]
):
    run_stage_in_process(*ARGUMENTS)
    weights = (workspace / "merged/model.safetensors").read_bytes()
    run_stage_in_process(*ARGUMENTS, changes={"merge.parity": "layers"})
    assert (workspace / "merged/model.safetensors").read_bytes() == weights
    summary = json.loads((workspace / "merged/merge.json").read_text())
    assert (summary["parity"], summary["prompts"]) == ("layers", 0)
    assert 0 < summary["largest_difference"] < 1e-5
    (trained,) = summary["adapters"]
    assert (trained["name"], trained["kind"], trained["rank"]) == ("trained", "LORA", 4)


def test_a_soft_prompt_is_merged_by_the_whole_model_only(
    workspace: Path,
    run_stage_in_process: Callable[..., str],
):
    from peft import PromptTuningConfig, get_peft_model

    base = loading.load_model(workspace / "base", "auto", "eager", "cpu")
    config = PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    saving.save_model(get_peft_model(base, config), workspace / "trained/model", 1.0)
    with pytest.raises(UserError, match=r"parity: layers: a soft prompt .* set it to logits"):
        run_stage_in_process(*ARGUMENTS, changes={"merge.parity": "layers"})
    run_stage_in_process(*ARGUMENTS)
    assert (workspace / "merged/prefix.safetensors").exists()


def test_adapters_need_a_trained_adapter(workspace: Path, run_stage_in_process: Callable[..., str]):
    shutil.copytree(workspace / "base", workspace / "trained/model")
    changes = {"merge.adapters": [{"path": "support"}], "train.strategy": "full"}
    with pytest.raises(UserError, match=r"merge\.adapters .* whole weights were trained"):
        run_stage_in_process(*ARGUMENTS, changes=changes)
    assert not (workspace / "merged").exists()
