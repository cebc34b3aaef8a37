"""The weights of a base are complete and agree with its config.json."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from lockstep.errors import UserError
from lockstep.hub.inspection import inspect_base


def change_config(model: Path, **values: Any) -> None:
    """Change values in the config.json of a model."""
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


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
    inspect_base(tmp_path)
    expert = next(name for name in names if ".experts.1." in name)
    save_file({n: t for n, t in names.items() if n != expert}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="the weights lack"):
        inspect_base(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_the_error_for_a_truncated_shard_names_it(sharded_model: Path, size: int):
    shard = sorted(sharded_model.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:size])
    with pytest.raises(UserError, match=f"{shard.name}: not a complete safetensors file"):
        inspect_base(sharded_model)


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
        inspect_base(model)


def test_untied_embeddings_need_a_tensor_of_their_own(model: Path):
    change_config(model, tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"lack 1 tensors \(lm_head.weight\)"):
        inspect_base(model)


def test_tied_embeddings_need_one_of_their_two_tensors(model: Path):
    edit_weights(model, lambda t: t.pop("model.embed_tokens.weight"))
    with pytest.raises(UserError, match=r"model.embed_tokens.weight"):
        inspect_base(model)


def test_wrong_shapes_are_named(model: Path):
    change_config(model, vocab_size=300)
    shapes = r"model.embed_tokens.weight \[280, 32\], not \[300, 32\]"
    with pytest.raises(UserError, match=shapes):
        inspect_base(model)


def test_the_index_must_agree_with_the_shards(sharded_model: Path):
    path = sharded_model / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    names = sorted(index["weight_map"])
    index["weight_map"][names[0]] = index["weight_map"][names[-1]]
    path.write_text(json.dumps(index))
    with pytest.raises(UserError, match=f"does not agree with the shards on .*{names[0]}"):
        inspect_base(sharded_model)


def test_a_configuration_with_fewer_layers_than_the_weights_is_an_error(model: Path):
    change_config(model, num_hidden_layers=1, layer_types=["full_attention"])
    with pytest.raises(UserError, match=r"fewer layers than the weights.*model\.layers\.1\."):
        inspect_base(model)


def test_tensors_of_other_parts_are_named_in_a_note(model: Path):
    import torch

    edit_weights(model, lambda t: t.update({"value_head.weight": torch.ones(1, 32)}))
    assert inspect_base(model).notes == [
        "Qwen2ForCausalLM does not use 1 of the tensors (value_head: 1); trained and merged "
        "models leave them out"
    ]
