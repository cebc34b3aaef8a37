"""Models and tokenizers are saved with stable bytes and loaded only if they are complete."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import loading, saving
from lockstep.models.heads import Head
from tests.published_folders import write_published_folder, write_sentencepiece

MODEL_FILES = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


def load_and_save(folder: Path, into: Path) -> Path:
    """Save the model of a folder into another one."""
    saving.save_model(loading.load_model(folder, "auto", "eager", "cpu"), into, 1.0)
    saving.save_tokenizer(loading.load_tokenizer(folder).pretrained, into)
    return into


def remove_tensor(folder: Path, name: str) -> None:
    """Remove a tensor from the weights of a folder."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_equal_models_are_saved_as_equal_bytes(
    tiny_model: Path, tmp_path: Path, read_folder: Callable[[Path], dict[str, bytes]]
):
    one = load_and_save(tiny_model, tmp_path / "one")
    other = load_and_save(one, tmp_path / "deeper/other")
    assert list(read_folder(one)) == MODEL_FILES
    assert read_folder(one) == read_folder(other) == read_folder(tiny_model)


@pytest.mark.parametrize("declared", ["2", ["<|im_end|>"], -1, 2**40, True, 2.0, {"id": 2}, [[2]]])
def test_end_tokens_that_are_no_token_ids_are_an_error(tiny_model_copy: Path, declared: Any):
    file = tiny_model_copy / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": declared}))
    with pytest.raises(UserError, match=r"/generation_config\.json: eos_token_id: .*correct it"):
        loading.load_tokenizer(tiny_model_copy)


@pytest.mark.parametrize("declared", [None, [], [None], 2, [2, None]])
def test_end_tokens_may_be_left_out(tiny_model_copy: Path, declared: Any):
    file = tiny_model_copy / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": declared}))
    tokenizer = loading.load_tokenizer(tiny_model_copy)
    assert tokenizer.end_ids == (tokenizer.pretrained.eos_token_id,) == (2,)


def test_a_text_config_without_values_has_no_end_tokens(tiny_model_copy: Path):
    """Folders without generation_config.json may have the end tokens in config.json."""
    (tiny_model_copy / "generation_config.json").unlink()
    file = tiny_model_copy / "config.json"
    values = json.loads(file.read_text()) | {"text_config": None, "eos_token_id": [5]}
    file.write_text(json.dumps(values))
    assert loading.read_end_ids(tiny_model_copy) == [5]


def test_a_model_larger_than_max_shard_gb_is_saved_as_shards_with_an_index(
    loaded_model: Any, tmp_path: Path
):
    import torch

    saving.save_model(loaded_model, tmp_path, 1e-4)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert sorted(set(index["weight_map"].values())) == [path.name for path in shards]
    assert len(shards) > 1
    assert all(path.stat().st_size < 1.1e5 for path in shards)
    reloaded = loading.load_model(tmp_path, "auto", "eager", "cpu")
    pairs = zip(loaded_model.parameters(), reloaded.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert saving.WeightsParams().max_shard_gb == 4.0


def test_normalized_files_hold_no_path_and_nothing_about_the_run(loaded_model: Any, tmp_path: Path):
    from peft import LoraConfig, get_peft_model

    base = loading.load_model(
        save_model_to(tmp_path / "base", loaded_model), "auto", "eager", "cpu"
    )
    modules = ["v_proj", "q_proj", "down_proj", "o_proj"]
    adapter_model = get_peft_model(base, LoraConfig(target_modules=modules, task_type="CAUSAL_LM"))
    adapter_model.save_pretrained(tmp_path / "adapter")
    assert str(tmp_path) in (tmp_path / "adapter/adapter_config.json").read_text()
    saving.normalize_files(tmp_path / "adapter")
    files = sorted(path.name for path in (tmp_path / "adapter").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors"]
    text = (tmp_path / "adapter/adapter_config.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["target_modules"] == sorted(modules)


def save_model_to(folder: Path, model: Any) -> Path:
    saving.save_model(model, folder, 1.0)
    return folder


def test_a_saved_config_holds_nothing_about_the_run(tiny_model: Path):
    assert (
        not {"_name_or_path", "transformers_version", "use_cache"}
        & json.loads((tiny_model / "config.json").read_text()).keys()
    )


def test_the_error_for_a_missing_tensor_names_it(tiny_model_copy: Path):
    remove_tensor(tiny_model_copy, "model.layers.1.mlp.up_proj.weight")
    with pytest.raises(UserError, match=r"missing keys: model\.layers\.1\.mlp\.up_proj\.weight"):
        loading.load_model(tiny_model_copy, "auto", "eager", "cpu")


def test_the_error_for_a_superfluous_tensor_names_it(tiny_model_copy: Path):
    config = json.loads((tiny_model_copy / "config.json").read_text())
    config |= {"num_hidden_layers": 1, "layer_types": config["layer_types"][:1]}
    (tiny_model_copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"unexpected keys: model\.layers\.1\."):
        loading.load_model(tiny_model_copy, "auto", "eager", "cpu")


def test_a_model_is_loaded_with_the_requested_dtype_and_attention(tiny_model: Path):
    import torch

    model = loading.load_model(tiny_model, "bfloat16", "sdpa", "cpu")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.config._attn_implementation == "sdpa"
    assert not model.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_single_value_that_is_not_finite_is_detected(tiny_model: Path, value: float):
    import torch

    model = loading.load_model(tiny_model, "auto", "eager", "cpu")
    assert loading.has_finite_parameters(model)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 5] = value
    assert not loading.has_finite_parameters(model)


def test_a_tokenizer_without_padding_pads_with_the_end_of_turn(tiny_model_copy: Path):
    path = tiny_model_copy / "tokenizer_config.json"
    values = json.loads(path.read_text())
    del values["pad_token"]
    path.write_text(json.dumps(values))
    tokenizer = loading.load_tokenizer(tiny_model_copy)
    assert tokenizer.pad_token_id == tokenizer.end_ids[0]


def test_a_tokenizer_is_loaded_as_its_file_defines_it(tiny_model: Path):
    """AutoTokenizer would replace its pre-tokenizer by Qwen2's, since the model is a Qwen2."""
    from tokenizers import Tokenizer

    expected = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    text = "请取消订单一二三四五，don't CAFE\u0301\n\n 42 "
    tokenizer = loading.load_tokenizer(tiny_model)
    assert tokenizer.pretrained.backend_tokenizer.to_str() == expected.to_str()
    assert tokenizer.encode_text(text) == expected.encode(text).ids


def test_only_weight_files_are_counted(tmp_path: Path):
    for name, size in (("a.safetensors", 3), ("b.safetensors", 4), ("config.json", 5)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert saving.count_weight_bytes(tmp_path) == 7


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_the_error_for_a_damaged_file_is_one_line(tiny_model_copy: Path, name: str):
    file = tiny_model_copy / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match=r"damaged: the (model|tokenizer) does not load") as error:
        loading.load_tokenizer(tiny_model_copy)
        loading.load_model(tiny_model_copy, "auto", "eager", "cpu")
    assert "\n" not in error.value.message


def test_an_attention_kernel_that_a_model_lacks_is_refused_with_the_one_it_has(tmp_path: Path):
    folder = write_published_folder("gemma2", tmp_path / "gemma2")
    with pytest.raises(UserError) as error:
        loading.load_model(folder, "float32", "sdpa", "cpu")
    assert error.value.message == (
        "params.yaml: compute.attention: sdpa: Gemma2ForCausalLM supports eager only; "
        "set compute.attention: eager"
    )


def test_a_new_head_replaces_that_of_a_classifier_for_other_labels(tmp_path: Path):
    import torch
    from transformers import AutoModelForSequenceClassification

    source = write_published_folder("roberta", tmp_path / "roberta")
    trained = AutoModelForSequenceClassification.from_pretrained(source, num_labels=5)
    saving.save_model(trained, tmp_path / "trained", 1.0)
    head = Head("single_label_classification", ["a", "b", "c"])
    model = loading.load_model(tmp_path / "trained", "float32", "eager", "cpu", head=head)
    assert model.new_parameters == ["classifier.out_proj.bias", "classifier.out_proj.weight"]
    assert torch.equal(model.classifier.dense.weight, trained.classifier.dense.weight)


def test_an_encoder_that_lacks_a_layer_is_refused(tmp_path: Path):
    folder = write_published_folder("roberta", tmp_path / "roberta")
    remove_tensor(folder, "roberta.encoder.layer.1.output.dense.weight")
    head = Head("single_label_classification", ["a", "b", "c"])
    with pytest.raises(UserError, match=r"missing keys: roberta\.encoder\.layer\.1\.output"):
        loading.load_model(folder, "float32", "eager", "cpu", head=head)


def test_a_merged_multi_modal_model_keeps_its_vision_part(tmp_path: Path):
    import torch
    from safetensors.torch import load_file

    folder = write_published_folder("gemma3", tmp_path / "gemma3")
    model = loading.load_model(folder, "auto", "eager", "cpu")
    saving.save_model(model, tmp_path / "saved", 1.0)
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "saved"))
    assert sum("vision_tower" in name for name in before) > 40
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("model_type", ["llama", "mistral"])
def test_a_sentencepiece_model_alone_gives_the_pieces_of_sentencepiece(
    model_type: str, tmp_path: Path
):
    import sentencepiece

    write_sentencepiece(tmp_path, "tokenizer.model")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    values = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(values))
    text = "where is my order 7?"
    expected = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    tokenizer = loading.load_pretrained_tokenizer(tmp_path)
    pieces = tokenizer.tokenize(text)
    assert pieces == expected.encode(text, out_type=str)
    assert pieces[0].startswith("\u2581")
    saving.save_tokenizer(tokenizer, tmp_path / "saved")
    assert loading.load_pretrained_tokenizer(tmp_path / "saved").tokenize(text) == pieces
