"""`stages.base` trains the starter, or copies or downloads a model; then data/base is complete."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.models import model_io

ARGUMENTS = ("base", "text.jsonl", "fetched")
MODEL_FILES = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


@pytest.mark.slow
def test_a_starter_trained_twice_is_byte_identical(
    workspace: Path, run_stage: Callable[..., Any], read_folder: Callable[[Path], dict[str, bytes]]
):
    folders = []
    for out in ("one", "elsewhere/other"):
        run = run_stage("base", "text.jsonl", out)
        assert run.returncode == 0, run.stderr
        assert run.stderr.startswith("base: pre-trained ")
        assert run.stderr.count("\n") == 1
        folders.append(read_folder(workspace / out))
    assert sorted(folders[0]) == MODEL_FILES
    assert folders[0] == folders[1]
    model_io.load_tokenizer(workspace / "one")
    model_io.load_model(workspace / "one", "auto", "eager", "cpu")


@pytest.mark.slow
def test_a_large_starter_is_written_as_shards(
    workspace: Path, run_stage_in_process: Callable[..., str]
):
    run_stage_in_process(*ARGUMENTS, changes={"weights.max_shard_gb": 1e-4})
    files = sorted(path.name for path in (workspace / "fetched").glob("model*"))
    assert len(files) > 2
    assert files[-1] == "model.safetensors.index.json"
    assert "model.safetensors" not in files
    model_io.load_model(workspace / "fetched", "auto", "eager", "cpu")


@pytest.mark.slow
def test_a_local_folder_is_copied_unchanged(
    workspace: Path,
    tiny_model: Path,
    run_stage: Callable[..., Any],
    read_folder: Callable[[Path], dict[str, bytes]],
):
    run = run_stage(*ARGUMENTS, changes={"base.source": "path", "base.path": str(tiny_model)})
    assert run.returncode == 0, run.stderr
    assert run.stderr == f"base: copied {tiny_model}\n"
    assert read_folder(workspace / "fetched") == read_folder(tiny_model)


@pytest.mark.slow
def test_a_configuration_is_written_into_the_copy(
    workspace: Path, tiny_model: Path, run_stage_in_process: Callable[..., str]
):
    changes = {
        "base.source": "path",
        "base.path": str(tiny_model),
        "base.configuration": {"attention_dropout": 0.25},
    }
    run_stage_in_process(*ARGUMENTS, changes=changes)
    model = model_io.load_model(workspace / "fetched", "auto", "eager", "cpu")
    assert model.config.attention_dropout == 0.25


def test_a_hub_model_without_revision_is_an_error_before_any_download(
    workspace: Path, run_stage: Callable[..., Any], assert_user_error: Callable[..., None]
):
    run = run_stage(*ARGUMENTS, changes={"base.source": "hub", "base.id": "Qwen/Qwen2.5-0.5B"})
    assert_user_error(
        run, workspace / "fetched", "params.yaml: base: source hub needs base.revision"
    )
    assert not (workspace / ".scratch").exists()
