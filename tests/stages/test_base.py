"""`stages.base` copies the starter or a local model, or downloads a model."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import loading

ARGUMENTS = ("base", "starter", "fetched")
MODEL_FILES = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


@pytest.fixture
def workspace(workspace: Path, tiny_model_copy: Path) -> Path:
    """The workspace with a starter."""
    tiny_model_copy.rename(workspace / "starter")
    return workspace


@pytest.mark.slow
def test_the_starter_is_copied_byte_for_byte(
    workspace: Path, run_stage: Callable[..., Any], read_folder: Callable[[Path], dict[str, bytes]]
):
    run = run_stage(*ARGUMENTS)
    assert run.returncode == 0, run.stderr
    assert run.stderr == "base: copied starter\n"
    assert sorted(read_folder(workspace / "fetched")) == MODEL_FILES
    assert read_folder(workspace / "fetched") == read_folder(workspace / "starter")


@pytest.mark.slow
def test_a_damaged_starter_is_one_error_line(
    workspace: Path, run_stage: Callable[..., Any], assert_user_error: Callable[..., None]
):
    (workspace / "starter/model.safetensors").unlink()
    run = run_stage(*ARGUMENTS)
    assert_user_error(run, workspace / "fetched", "error: starter: no model.safetensors")


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


@pytest.mark.parametrize("path", ["data/merged", "data/./quantized", "data/base"])
def test_a_model_that_the_run_replaces_is_no_base(
    workspace: Path, run_stage_in_process: Callable[..., str], path: str
) -> None:
    changes = {"base.source": "path", "base.path": path}
    shutil.copytree(workspace / "starter", workspace / path)
    with pytest.raises(UserError, match=r"base\.path: the pipeline replaces .*; copy"):
        run_stage_in_process("base", "starter", "data/base", changes=changes)
    changes["base.path"] = "data/last"
    shutil.copytree(workspace / path, workspace / "data/last")
    assert "copied data/last" in run_stage_in_process(
        "base", "starter", "data/base", changes=changes
    )


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
    model = loading.load_model(workspace / "fetched", "auto", "eager", "cpu")
    assert model.config.attention_dropout == 0.25


def test_a_hub_model_without_revision_is_an_error_before_any_download(
    workspace: Path, run_stage: Callable[..., Any], assert_user_error: Callable[..., None]
):
    run = run_stage(*ARGUMENTS, changes={"base.source": "hub", "base.id": "Qwen/Qwen2.5-0.5B"})
    assert_user_error(
        run, workspace / "fetched", "params.yaml: base: source hub needs base.revision"
    )
    assert not (workspace / ".scratch").exists()
