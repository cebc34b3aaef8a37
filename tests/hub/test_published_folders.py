"""Bases are taken as hubs publish them, and load as plain transformers loads them."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from lockstep.errors import UserError
from lockstep.hub import base_model
from lockstep.hub.base_params import BaseParams
from lockstep.models import loading
from lockstep.models.heads import Head
from tests.published_folders import ENCODERS, MODELS, write_published_folder

BASE = BaseParams(source="starter")
HEAD = Head("single_label_classification", ["a", "b", "c"])
GENERATIVE = sorted(set(MODELS) - set(ENCODERS))
LEFT_OUT = "does not use {} of the tensors ({}); trained and merged models leave them out"
DROPPED = "config.json: dropped {}, since transformers loads the model without other code"
NO_POOLER = "the weights have no pooler, so training starts with a random one"
NOTES = {
    "phi3": [
        DROPPED.format("auto_map"), "config.json: Phi3Config does not list attention_bias; kept"
    ],
    "falcon": [DROPPED.format("auto_map")],
    "gpt2": [
        "config.json: GPT2Config does not list n_ctx, n_special, predict_special_tokens; kept"
    ],
    "qwen3_moe": ["config.json: Qwen3MoeConfig does not list head_dim; kept"],
    "gemma3": [
        "text does not pass through model.vision_tower, model.multi_modal_projector; kept and not "
        "trained"
    ],
    "qwen3_5": ["Qwen3_5ForCausalLM " + LEFT_OUT.format(33, "model.visual: 33")],
    "bert": [
        "config.json: BertConfig does not list directionality, pooler_type; kept",
        "BertForSequenceClassification " + LEFT_OUT.format(6, "cls: 6"),
        NO_POOLER,
    ],
    "roberta": [
        "config.json: RobertaConfig does not list output_past; kept",
        "RobertaForSequenceClassification "
        + LEFT_OUT.format(7, "lm_head: 5, roberta.pooler: 2"),
    ],
    "xlm-roberta": ["XLMRobertaForSequenceClassification " + LEFT_OUT.format(5, "lm_head: 5")],
    "distilbert": [
        "config.json: DistilBertConfig does not list tie_weights_; kept",
        "DistilBertForSequenceClassification "
        + LEFT_OUT.format(5, "vocab_layer_norm: 2, vocab_projector: 1, vocab_transform: 2"),
    ],
    "deberta-v2": [
        "config.json: DebertaV2Config does not list position_buckets, share_att_key; kept",
        "DebertaV2ForSequenceClassification " + LEFT_OUT.format(5, "lm_predictions: 5"),
        NO_POOLER,
    ],
    "modernbert": [
        "config.json: ModernBertConfig does not list global_attn_every_n_layers, "
        "reference_compile; kept",
        "ModernBertForSequenceClassification " + LEFT_OUT.format(1, "decoder: 1"),
    ],
}  # fmt: skip
"""Notes about the folder of each family."""


@pytest.mark.parametrize("family", GENERATIVE)
def test_a_generative_base_gives_the_logits_of_plain_transformers(
    family: str, tmp_path: Path, output_folder: Path
):
    import torch
    from transformers import AutoModelForCausalLM

    source = write_published_folder(family, tmp_path / family)
    assert base_model.copy_base(source, BASE, output_folder) == NOTES.get(family, [])
    assert "auto_map" not in read_config(output_folder)
    expected: Any = AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager")
    model = loading.load_model(output_folder, "float32", "eager", "cpu")
    ids = torch.arange(20)[None]
    assert torch.equal(model(ids).logits, expected.eval()(ids).logits)


@pytest.mark.parametrize("family", ENCODERS)
def test_an_encoder_gives_the_states_of_plain_transformers(
    family: str, tmp_path: Path, output_folder: Path
):
    import torch
    from transformers import AutoModel

    source = write_published_folder(family, tmp_path / family)
    assert base_model.copy_base(source, BASE, output_folder) == NOTES[family]
    expected: Any = AutoModel.from_pretrained(source, attn_implementation="eager")
    model = loading.load_model(output_folder, "float32", "eager", "cpu", head=HEAD)
    ids = torch.arange(5, 25)[None]
    states = model.base_model(ids).last_hidden_state
    assert torch.equal(states, expected.eval()(ids).last_hidden_state)
    assert model(ids).logits.shape == (1, 3)


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "distilbert"])
def test_the_ids_of_a_vocabulary_alone_are_those_of_plain_transformers(
    family: str, tmp_path: Path, output_folder: Path
):
    from transformers import AutoTokenizer

    source = write_published_folder(family, tmp_path / family)
    base_model.copy_base(source, BASE, output_folder)
    text = "where is my order 7? 取消订单"
    ids = loading.load_pretrained_tokenizer(output_folder)(text)["input_ids"]
    assert ids == AutoTokenizer.from_pretrained(source)(text)["input_ids"]
    assert len(set(ids)) > 10


def test_an_encoder_that_lacks_a_layer_is_an_error(tmp_path: Path, output_folder: Path):
    source = write_published_folder("bert", tmp_path / "bert")
    remove_tensor(source, "bert.encoder.layer.1.output.dense.weight")
    with pytest.raises(UserError, match=r"lack 1 tensors \(bert\.encoder\.layer\.1\.output"):
        base_model.copy_base(source, BASE, output_folder)


def test_a_model_that_only_its_own_code_has_is_an_error(tmp_path: Path, output_folder: Path):
    source = write_published_folder("phi3", tmp_path / "phi3")
    for changes, name in (
        ({"architectures": ["OwnForCausalLM"]}, "OwnForCausalLM"),
        ({"architectures": ["Phi3ForCausalLM"], "model_type": "own"}, "own"),
    ):
        (source / "config.json").write_text(json.dumps(read_config(source) | changes))
        with pytest.raises(UserError, match=f"auto_map: only code in .* has {name}, and such code"):
            base_model.copy_base(source, BASE, output_folder)
        assert (output_folder / "config.json").exists()
        (output_folder / "config.json").unlink()


def test_a_tokenizer_that_only_its_own_code_has_is_an_error(tmp_path: Path, output_folder: Path):
    source = write_published_folder("bert", tmp_path / "bert")
    values = {"auto_map": {"AutoTokenizer": ["x.Own", None]}, "tokenizer_class": "OwnTokenizer"}
    (source / "tokenizer_config.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"tokenizer_config\.json: auto_map: .* OwnTokenizer"):
        base_model.copy_base(source, BASE, output_folder)


def test_a_token_without_a_row_in_the_embeddings_is_an_error(tmp_path: Path, output_folder: Path):
    from transformers import AutoTokenizer

    source = write_published_folder("gpt2", tmp_path / "gpt2")
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_tokens([f"token{number}" for number in range(300 - len(tokenizer))])
    tokenizer.save_pretrained(source)
    base_model.copy_base(source, BASE, output_folder)
    tokenizer.add_tokens("surplus")
    tokenizer.save_pretrained(source)
    with pytest.raises(UserError, match="a token surplus with id 300, but the embeddings have 300"):
        base_model.copy_base(source, BASE, clear_folder(output_folder))


def test_a_placeholder_of_images_needs_no_row(tmp_path: Path, output_folder: Path):
    """The tokenizer of Gemma 3 1B has 262,145 tokens, its embeddings have 262,144 rows."""
    from transformers import AutoTokenizer

    source = write_published_folder("gemma2", tmp_path / "gemma2")
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_tokens([f"token{number}" for number in range(300 - len(tokenizer))])
    tokenizer.add_tokens("<image>", special_tokens=True)
    tokenizer.save_pretrained(source)
    path = source / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "image_token": "<image>"}))
    assert base_model.copy_base(source, BASE, output_folder) == [
        "the embeddings have no row for <image>"
    ]


def test_further_chat_templates_come_along(tmp_path: Path, output_folder: Path):
    source = write_published_folder("gpt2", tmp_path / "gpt2")
    template = "{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}"
    (source / "chat_template.jinja").write_text(template)
    (source / "additional_chat_templates").mkdir()
    (source / "additional_chat_templates/tool_use.jinja").write_text("tools " + template)
    (source / "additional_chat_templates/other.py").write_text("raise SystemExit")
    base_model.copy_base(source, BASE, output_folder)
    names = [path.name for path in (output_folder / "additional_chat_templates").iterdir()]
    assert names == ["tool_use.jinja"]
    templates = loading.load_tokenizer(output_folder).pretrained.chat_template
    assert templates == {"default": template, "tool_use": "tools " + template}


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a model."""
    values: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return values


def remove_tensor(folder: Path, name: str) -> None:
    """Remove a tensor from the weights of a model."""
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def clear_folder(folder: Path) -> Path:
    """Remove the files in a folder."""
    for path in folder.iterdir():
        path.unlink()
    return folder
