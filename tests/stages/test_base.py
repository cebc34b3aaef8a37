import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.hub.base_params import BaseParams
from lockstep.models import model_io
from stages.base import configure, take
from tests.conftest import tiny_params

ARGUMENTS = ("base", "text.jsonl", "brought")
WHOLE = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


def chosen(**changes: Any) -> BaseParams:
    """The section of params.yaml, changed."""
    return BaseParams.model_validate(tiny_params({})["base"] | changes)


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
    model_io.load_tokenizer(workplace / "one")
    model_io.load_model(workplace / "one", "auto", "eager", "cpu")


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


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokenizer.json", "{}", "spoilt: the tokenizer does not load (KeyError: 'added_tokens')"),
        ("tokenizer.json", "x", "spoilt: the tokenizer does not load (JSONDecodeError: "),
        ("chat_template.jinja", "{% for", "the base's chat template refuses user, assistant"),
        ("generation_config.json", "{", "spoilt/generation_config.json: not JSON; fetch it again"),
        ("chat_template.jinja", None, "spoilt: the base has no chat template"),
        ("tokenizer.json", None, "spoilt: no tokenizer.json or tokenizer.model"),
    ],
)
def test_a_folder_with_a_file_spoilt_or_missing_is_refused(
    tiny_copy: Path, tmp_path: Path, name: str, text: str | None, message: str
):
    if text is None:
        (tiny_copy / name).unlink()
    else:
        (tiny_copy / name).write_text(text)
    (tmp_path / "brought").mkdir()
    with pytest.raises(UserError, match=re.escape(message)) as refused:
        take(tiny_copy, tmp_path / "brought", chosen())
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"slidingwindow": 8}, "slidingwindow: unknown key; add it to base.allowed_config_keys"),
        ({"sliding_window": "long"}, "sliding_window"),
        ({"hidden_size": 32}, "wrong shapes: "),
        ({"auto_map": {"AutoConfig": "x.Y"}}, "auto_map: can load code, never allowed"),
        ({"rope_parameters": {"rope_type": "yan"}}, "KeyError: 'yan'"),
    ],
    ids=str,
)
def test_a_configuration_that_does_not_fit_is_refused(
    tiny_copy: Path, configuration: dict[str, Any], message: str
):
    with pytest.raises(UserError, match=f"params.yaml: base.configuration: .*{message}"):
        configure(tiny_copy, chosen(configuration=configuration))


@pytest.mark.parametrize(
    "configuration",
    [
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
        {"use_sliding_window": True, "sliding_window": 2, "max_window_layers": 0,
         "layer_types": ["sliding_attention", "sliding_attention"]},
    ],
    ids=["rope", "window"],
)  # fmt: skip
def test_a_configuration_changes_what_the_model_computes(
    tiny: Path, tiny_copy: Path, configuration: dict[str, Any]
):
    import torch

    configure(tiny_copy, chosen(configuration=configuration))
    ids = torch.arange(12)[None]
    logits = [
        model_io.load_model(folder, "float32", "eager", "cpu")(ids).logits
        for folder in (tiny, tiny_copy)
    ]
    assert (logits[0] - logits[1]).abs().max() > 1e-3


def test_a_hub_model_without_revision_is_refused_before_anything(
    workplace: Path, stage: Callable[..., Any], refused: Callable[..., None]
):
    run = stage(*ARGUMENTS, changes={"base.source": "hub", "base.id": "Qwen/Qwen2.5-0.5B"})
    refused(run, workplace / "brought", "params.yaml: base: source hub needs base.revision")
    assert not (workplace / ".scratch").exists()
