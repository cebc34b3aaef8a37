"""`stages.merge` merges an adapter as PEFT does, and links weights that were trained whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.models import loading, saving

pytestmark = pytest.mark.slow

ARGUMENTS = ("merge", "base", "trained", "prepared/validation.jsonl", "merged")
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
    assert 0 <= summary["largest_logit_difference"] < 1e-3

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
    assert_user_error(run, workspace / "merged", "merged logits differ by", "merge.tolerance 1e-12")


def test_a_model_whose_weights_were_trained_whole_is_linked(
    workspace: Path, tiny_model: Path, run_stage_in_process: Callable[..., str]
):
    (workspace / "base").rename(workspace / "model")
    (workspace / "base").mkdir()  # the base is not needed
    (workspace / "trained").mkdir()
    (workspace / "model").rename(workspace / "trained/model")
    template = "additional_chat_templates/tool_use.jinja"
    (workspace / "trained/model" / template).parent.mkdir()
    (workspace / "trained/model" / template).write_text("{{ eos_token }}")
    run_stage_in_process(*ARGUMENTS)
    files = [path for path in (workspace / "merged").rglob("*") if path.is_file()]
    names = {path.relative_to(workspace / "merged").as_posix() for path in files}
    assert names == {*OUTPUT_FILES, template}
    for name in names - {"merge.json"}:
        assert (workspace / "merged" / name).samefile(workspace / "trained/model" / name)
    summary = json.loads((workspace / "merged/merge.json").read_text())
    assert summary == {"prompts": 0, "largest_logit_difference": 0.0}
