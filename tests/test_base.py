from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages import models

ARGUMENTS = ("base", "text.jsonl", "brought")
WHOLE = [
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
    assert sorted(folders[0]) == WHOLE
    assert folders[0] == folders[1]
    models.load_tokenizer(workplace / "one")
    models.load(workplace / "one", "auto", "eager", "cpu")


@pytest.mark.slow
def test_a_local_folder_is_taken_as_it_is(
    workplace: Path,
    tiny: Path,
    stage: Callable[..., Any],
    contents: Callable[[Path], dict[str, bytes]],
):
    run = stage(*ARGUMENTS, changes={"base.source": "path", "base.path": str(tiny)})
    assert run.returncode == 0, run.stderr
    assert run.stderr == f"base: took {tiny}\n"
    assert contents(workplace / "brought") == contents(tiny)


def test_a_folder_without_tokenizer_is_refused(
    workplace: Path, tiny_copy: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    (tiny_copy / "tokenizer.json").unlink()
    run = stage(*ARGUMENTS, changes={"base.source": "path", "base.path": "spoilt"})
    refused(run, workplace / "brought", "spoilt: no tokenizer.json or tokenizer.model")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokenizer.json", "{}", "spoilt: the tokenizer does not load (KeyError: 'added_tokens')"),
        ("tokenizer.json", "x", "spoilt: the tokenizer does not load (JSONDecodeError: "),
        ("chat_template.jinja", "{% for", "the base's chat template refuses user, assistant"),
        ("generation_config.json", "{", "spoilt/generation_config.json: not JSON; fetch it again"),
    ],
)
def test_a_folder_with_a_spoilt_file_is_refused(
    workplace: Path,
    tiny_copy: Path,
    stage: Callable[..., Any],
    refused: Callable[..., None],
    name: str,
    text: str,
    message: str,
):
    (tiny_copy / name).write_text(text)
    run = stage(*ARGUMENTS, changes={"base.source": "path", "base.path": "spoilt"})
    refused(run, workplace / "brought", message)


@pytest.mark.slow
def test_a_base_that_cannot_hold_a_conversation_is_refused(
    workplace: Path, tiny_copy: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    (tiny_copy / "chat_template.jinja").unlink()
    run = stage(*ARGUMENTS, changes={"base.source": "path", "base.path": "spoilt"})
    refused(run, workplace / "brought", "no chat template")


def test_a_hub_model_without_revision_is_refused_before_anything(
    workplace: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    run = stage(*ARGUMENTS, changes={"base.source": "hub", "base.id": "Qwen/Qwen2.5-0.5B"})
    refused(run, workplace / "brought", "params.yaml: base: source hub needs base.revision")
    assert not (workplace / ".scratch").exists()
