"""A base model is checked when it is copied and when its configuration is changed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.hub import base_model
from lockstep.hub.base_params import BaseParams
from lockstep.models import loading


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokenizer.json", "{}", "damaged: the tokenizer does not load (KeyError: 'added_tokens')"),
        ("tokenizer.json", "x", "damaged: the tokenizer does not load (JSONDecodeError: "),
        ("chat_template.jinja", "{% for", "the base's chat template refuses user"),
        ("generation_config.json", "{", "damaged/generation_config.json: not JSON; fetch it again"),
        ("tokenizer.json", None, "damaged: no tokenizer.json or tokenizer.model"),
    ],
)
def test_the_error_for_a_damaged_or_missing_file_names_the_user_s_folder(
    tiny_model_copy: Path, output_folder: Path, name: str, text: str | None, message: str
):
    if text is None:
        (tiny_model_copy / name).unlink()
    else:
        (tiny_model_copy / name).write_text(text)
    base = BaseParams(source="starter")
    with pytest.raises(UserError, match=re.escape(message)) as error:
        base_model.copy_base(tiny_model_copy, base, output_folder)
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"slidingwindow": 8}, "slidingwindow: Qwen2Config has no such key; correct it"),
        ({"sliding_window": "long"}, "sliding_window"),
        ({"hidden_size": 32}, "wrong shapes: "),
        ({"auto_map": {"AutoConfig": "x.Y"}}, "auto_map: can load code, never allowed"),
        ({"rope_parameters": {"rope_type": "yan"}}, "KeyError: 'yan'"),
    ],
    ids=str,
)
def test_a_configuration_that_does_not_fit_the_model_is_an_error(
    tiny_model_copy: Path, configuration: dict[str, Any], message: str
):
    base = BaseParams(source="starter", configuration=configuration)
    with pytest.raises(UserError, match=f"params.yaml: base.configuration: .*{message}"):
        base_model.apply_configuration(tiny_model_copy, base)


@pytest.mark.parametrize(
    "configuration",
    [
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}},
        {"use_sliding_window": True, "sliding_window": 2, "max_window_layers": 0,
         "layer_types": ["sliding_attention", "sliding_attention"]},
    ],
    ids=["rope", "window"],
)  # fmt: skip
def test_a_configuration_changes_the_model_s_outputs(
    tiny_model: Path, tiny_model_copy: Path, configuration: dict[str, Any]
):
    import torch

    base = BaseParams(source="starter", configuration=configuration)
    base_model.apply_configuration(tiny_model_copy, base)
    ids = torch.arange(12)[None]
    logits = [
        loading.load_model(folder, "float32", "eager", "cpu")(ids).logits
        for folder in (tiny_model, tiny_model_copy)
    ]
    assert (logits[0] - logits[1]).abs().max() > 1e-3


def test_a_key_that_only_config_json_has_can_be_changed(tiny_model_copy: Path):
    path = tiny_model_copy / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "novel_trick": 1}))
    base = BaseParams(source="starter", configuration={"novel_trick": 2})
    base_model.apply_configuration(tiny_model_copy, base)
    assert json.loads(path.read_text())["novel_trick"] == 2


def test_a_source_lists_the_keys_that_it_needs():
    assert BaseParams(source="starter").path == ""
    with pytest.raises(ValueError, match=r"source hub needs base\.id and base\.revision"):
        BaseParams(source="hub")
    with pytest.raises(ValueError, match=r"source path needs base\.path"):
        BaseParams(source="path")
