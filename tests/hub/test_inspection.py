"""A base model passes the inspection only if it is complete and cannot run code."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from lockstep.errors import UserError
from lockstep.hub.inspection import inspect_base


def change_json(path: Path, **values: Any) -> None:
    """Change values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_complete_model_passes(model: Path):
    inspect_base(model, [])


def test_a_complete_sharded_model_passes(sharded_model: Path):
    inspect_base(sharded_model, [])


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
    inspect_base(model, [])


def test_experts_that_transformers_fuses_while_loading_pass(tmp_path: Path):
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=2,
    )
    MixtralForCausalLM(config).save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors")
    assert any(".experts.1." in name for name in names)  # the files hold each expert separately
    inspect_base(tmp_path, [])
    expert = next(name for name in names if ".experts.1." in name)
    save_file({n: t for n, t in names.items() if n != expert}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="the weights lack"):
        inspect_base(tmp_path, [])


def test_an_unknown_key_passes_only_if_the_user_allows_it(model: Path):
    change_json(model / "config.json", novel_trick=1)
    message = "novel_trick: unknown key; add it to base.allowed_config_keys if you trust it"
    with pytest.raises(UserError, match=message):
        inspect_base(model, [])
    inspect_base(model, ["novel_trick"])


def test_a_removed_key_passes_with_the_value_that_is_now_always_used(model: Path):
    change_json(
        model / "config.json", position_embedding_type="absolute", gradient_checkpointing=False
    )
    inspect_base(model, [])
    change_json(model / "config.json", position_embedding_type="relative_key")
    with pytest.raises(UserError, match="position_embedding_type: unknown key"):
        inspect_base(model, [])


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
def test_a_key_that_can_load_code_is_an_error_even_if_the_user_allows_it(
    model: Path, values: dict[str, Any]
):
    change_json(model / "config.json", **values)
    with pytest.raises(UserError, match=r"config.json: .*: can load code"):
        inspect_base(model, [*values, "auto_map", "attn_implementation"])


def test_code_of_a_tokenizer_is_an_error(model: Path):
    change_json(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Tokenizer", None]})
    with pytest.raises(UserError, match=r"tokenizer_config.json: auto_map: can load code"):
        inspect_base(model, [])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "gpt9"}, "model_type: 'gpt9' is unknown"),
        ({"model_type": None}, "model_type: None is unknown"),
        ({"model_type": ["qwen2"]}, "model_type: .* is unknown"),
        ({"model_type": "gemma4_assistant"}, "Gemma4AssistantConfig has no default"),
        ({"model_type": "clip"}, "model_type: clip neither generates nor classifies text"),
        ({"quantization_config": {"quant_method": "gptq"}}, "already quantized"),
        ({"hidden_size": "wide"}, "Field 'hidden_size' expected int"),
        ({"dtype": "float1000"}, "float1000"),
    ],
)
def test_an_unusable_config_is_an_error(model: Path, values: dict[str, Any], message: str):
    change_json(model / "config.json", **values)
    with pytest.raises(UserError, match=message) as error:
        inspect_base(model, [])
    assert "\n" not in error.value.message


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "not a JSON object")])
def test_a_config_that_is_not_json_is_an_error(model: Path, text: str, message: str):
    (model / "config.json").write_text(text)
    with pytest.raises(UserError, match=f"config.json: {message}"):
        inspect_base(model, [])


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_the_error_for_a_truncated_shard_names_it(sharded_model: Path, size: int):
    shard = sorted(sharded_model.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(UserError, match=f"{shard.name}: not a complete safetensors file"):
        inspect_base(sharded_model, [])


def edit_weights(model: Path, edit) -> None:
    """Apply a function to the dictionary of a model's tensors."""
    tensors = load_file(model / "model.safetensors")
    edit(tensors)
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def test_missing_tensors_are_named_and_counted(model: Path):
    edit_weights(
        model, lambda t: [t.pop(n) for n in list(t) if n.startswith("model.layers.1.self")]
    )
    message = r"lack 7 tensors \(model.layers.1.self_attn.k_proj.bias, .*, .* and 4 more\)"
    with pytest.raises(UserError, match=message):
        inspect_base(model, [])


def test_untied_embeddings_need_a_tensor_of_their_own(model: Path):
    change_json(model / "config.json", tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"lack 1 tensors \(lm_head.weight\)"):
        inspect_base(model, [])


def test_tied_embeddings_need_one_of_their_two_tensors(model: Path):
    edit_weights(model, lambda t: t.pop("model.embed_tokens.weight"))
    with pytest.raises(UserError, match=r"model.embed_tokens.weight"):
        inspect_base(model, [])


def test_wrong_shapes_are_named(model: Path):
    change_json(model / "config.json", vocab_size=300)
    shapes = r"model.embed_tokens.weight \[280, 32\], not \[300, 32\]"
    with pytest.raises(UserError, match=shapes):
        inspect_base(model, [])


def test_the_index_must_agree_with_the_shards(sharded_model: Path):
    path = sharded_model / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    names = sorted(index["weight_map"])
    index["weight_map"][names[0]] = index["weight_map"][names[-1]]
    path.write_text(json.dumps(index))
    with pytest.raises(UserError, match=f"does not agree with the shards on .*{names[0]}"):
        inspect_base(sharded_model, [])
