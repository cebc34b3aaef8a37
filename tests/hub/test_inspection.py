"""A base model passes the inspection only if it is complete and cannot run code."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.hub.inspection import inspect_base


def change_json(path: Path, **values: Any) -> None:
    """Change values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_complete_model_passes(model: Path):
    inspect_base(model)


def test_a_complete_sharded_model_passes(sharded_model: Path):
    inspect_base(sharded_model)


def test_the_keys_of_a_published_config_pass(model: Path):
    """These keys of Qwen/Qwen2.5-7B/config.json are no longer written by Qwen2Config."""
    change_json(
        model / "config.json",
        rope_theta=1000000.0,
        torch_dtype="bfloat16",
        use_mrope=False,
        use_sliding_window=False,
        transformers_version="4.40.1",
    )
    inspect_base(model)


def test_unknown_keys_are_kept_and_listed_in_one_note(model: Path):
    change_json(model / "config.json", novel_trick=1, head_count=2)
    assert inspect_base(model).notes == [
        "config.json: Qwen2Config does not list head_count, novel_trick; kept"
    ]
    assert json.loads((model / "config.json").read_text())["novel_trick"] == 1


def test_relative_positions_that_transformers_has_removed_are_an_error(tmp_path: Path):
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = BertConfig(vocab_size=8, intermediate_size=8, max_position_embeddings=8, **sizes)
    BertModel(config).save_pretrained(tmp_path)
    change_json(tmp_path / "config.json", position_embedding_type="absolute")
    inspect_base(tmp_path)
    change_json(tmp_path / "config.json", position_embedding_type="relative_key")
    with pytest.raises(UserError, match="absolute positions only for bert, not relative_key"):
        inspect_base(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "gpt9"}, "model_type: 'gpt9' is unknown"),
        ({"model_type": None}, "model_type: None is unknown"),
        ({"model_type": ["qwen2"]}, "model_type: .* is unknown"),
        ({"model_type": "clip"}, "model_type: clip neither generates nor classifies text"),
        ({"quantization_config": {"quant_method": "gptq"}}, "already quantized"),
        ({"hidden_size": "wide"}, "Field 'hidden_size' expected int"),
        ({"dtype": "float1000"}, "float1000"),
    ],
)
def test_an_unusable_config_is_an_error(model: Path, values: dict[str, Any], message: str):
    change_json(model / "config.json", **values)
    with pytest.raises(UserError, match=message) as error:
        inspect_base(model)
    assert "\n" not in error.value.message


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "not a JSON object")])
def test_a_config_that_is_not_json_is_an_error(model: Path, text: str, message: str):
    (model / "config.json").write_text(text)
    with pytest.raises(UserError, match=f"config.json: {message}"):
        inspect_base(model)


def test_a_sequence_to_sequence_base_passes_without_a_note(seq2seq_bases: dict[str, Path]):
    for folder in seq2seq_bases.values():
        assert inspect_base(folder).notes == []


@pytest.mark.parametrize("key", ["decoder_start_token_id", "pad_token_id"])
def test_a_decoder_without_start_or_padding_is_an_error(
    seq2seq_bases: dict[str, Path], tmp_path: Path, key: str
):
    folder = shutil.copytree(seq2seq_bases["t5"], tmp_path / "t5")
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: None}))
    with pytest.raises(UserError, match=rf"config\.json: .*{key}.*the decoder needs both"):
        inspect_base(folder)
