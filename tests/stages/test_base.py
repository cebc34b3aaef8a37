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
    workplace: Path, stage: Callable[..., Any], contents: Callable[[Path], dict[str, bytes]]
):
    folders = []
    for out in ("one", "elsewhere/other"):
        run = stage("base", "text.jsonl", out)
        assert run.returncode == 0, run.stderr
        assert run.stderr.startswith("base: pre-trained ")
        assert run.stderr.count("\n") == 1
        folders.append(contents(workplace / out))
    assert sorted(folders[0]) == MODEL_FILES
    assert folders[0] == folders[1]
    model_io.load_tokenizer(workplace / "one")
    model_io.load_model(workplace / "one", "auto", "eager", "cpu")


@pytest.mark.slow
def test_a_large_starter_is_written_as_shards(workplace: Path, performed: Callable[..., str]):
    performed(*ARGUMENTS, changes={"weights.max_shard_gb": 1e-4})
    files = sorted(path.name for path in (workplace / "fetched").glob("model*"))
    assert len(files) > 2
    assert files[-1] == "model.safetensors.index.json"
    assert "model.safetensors" not in files
    model_io.load_model(workplace / "fetched", "auto", "eager", "cpu")


@pytest.mark.slow
def test_a_local_folder_is_copied_unchanged(
    workplace: Path,
    tiny: Path,
    stage: Callable[..., Any],
    contents: Callable[[Path], dict[str, bytes]],
):
    run = stage(*ARGUMENTS, changes={"base.source": "path", "base.path": str(tiny)})
    assert run.returncode == 0, run.stderr
    assert run.stderr == f"base: copied {tiny}\n"
    assert contents(workplace / "fetched") == contents(tiny)


@pytest.mark.slow
def test_a_configuration_is_written_into_the_copy(
    workplace: Path, tiny: Path, performed: Callable[..., str]
):
    changes = {
        "base.source": "path",
        "base.path": str(tiny),
        "base.configuration": {"attention_dropout": 0.25},
    }
    performed(*ARGUMENTS, changes=changes)
    model = model_io.load_model(workplace / "fetched", "auto", "eager", "cpu")
    assert model.config.attention_dropout == 0.25


def test_a_hub_model_without_revision_is_an_error_before_any_download(
    workplace: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    run = stage(*ARGUMENTS, changes={"base.source": "hub", "base.id": "Qwen/Qwen2.5-0.5B"})
    refused(run, workplace / "fetched", "params.yaml: base: source hub needs base.revision")
    assert not (workplace / ".scratch").exists()
