"""Keys that load code are dropped from a copy, at any depth; other keys keep place and value."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.hub.config_keys import drop_code_keys, find_code_keys


@pytest.mark.parametrize(
    "values",
    [
        {"auto_map": {"AutoModelForCausalLM": "modeling_x.Model"}},
        {"_attn_implementation": "someone/kernel"},
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation_internal": "someone/kernel"},
        {"experts_implementation": "someone/kernel"},
        {"transformers_weights": "other.safetensors"},
        {"fusion_config": {}},
        {"text_config": {"attn_implementation": "someone/kernel"}},
        {"layers": [{"auto_map": {}}]},
    ],
)
def test_a_key_that_can_load_code_is_dropped(model: Path, values: dict[str, Any]):
    path = model / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**values, **config}))
    (note,) = drop_code_keys(model)
    assert note.startswith("config.json: dropped ")
    kept = json.loads(path.read_text())
    assert find_code_keys(kept) == []
    assert {key: kept[key] for key in config} == config
    assert [key for key in kept if key in config] == list(config)


def test_a_file_without_such_keys_is_not_written_again(model: Path):
    before = (model / "config.json").stat()
    assert drop_code_keys(model) == []
    after = (model / "config.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_linked_file_of_the_user_keeps_its_keys(model: Path, tmp_path: Path):
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": {}}))
    own = tmp_path / "own.json"
    own.hardlink_to(path)
    drop_code_keys(model)
    assert "auto_map" in json.loads(own.read_text())


def test_code_of_a_tokenizer_is_dropped(model: Path):
    path = model / "tokenizer_config.json"
    values = {"auto_map": {"AutoTokenizer": ["x.Tokenizer", None]}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    assert drop_code_keys(model) == [
        "tokenizer_config.json: dropped auto_map, since transformers loads the tokenizer without "
        "other code"
    ]
    assert "auto_map" not in json.loads(path.read_text())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config.json", {"architectures": "LlamaForCausalLM"}),
        ("config.json", {"architectures": 5, "auto_map": {}}),
        ("config.json", {"architectures": [None]}),
        ("config.json", {"model_type": ["qwen2"], "auto_map": {}}),
        ("tokenizer_config.json", {"tokenizer_class": 5}),
    ],
)
def test_a_class_whose_name_is_no_text_is_an_error(model: Path, name: str, values: dict[str, Any]):
    path = model / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    with pytest.raises(UserError, match=rf"{name}: {next(iter(values))}: .*; correct it"):
        drop_code_keys(model)
