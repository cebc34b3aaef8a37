"""llama.cpp computes from the file what transformers computes from the folder."""

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from tokenizers import pre_tokenizers

from lockstep.errors import UserError
from lockstep.export.gguf_check import check_content
from lockstep.export.gguf_conversion import write_gguf
from lockstep.inference.llama_cpp import GREEDY, LlamaCpp
from lockstep.models import loading
from tests.export.tiny_models import write_model, write_tokenizer
from tests.published_folders import write_sentencepiece

FALCON_7B = {
    "multi_query": True, "new_decoder_architecture": False, "alibi": False, "bias": False,
    "num_kv_heads": None,
}  # fmt: skip
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {}),  # the converter reorders rows of its matrices
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "gptneox": ("GPTNeoXForCausalLM", {"rotary_pct": 0.25}),
    "cohere2": ("Cohere2ForCausalLM", {}),
    "falcon": ("FalconForCausalLM", FALCON_7B),
    "mixtral": ("MixtralForCausalLM", {"num_local_experts": 4}),
    "gemma2": ("Gemma2ForCausalLM", {"head_dim": 16, "query_pre_attn_scalar": 16}),
}
"""GPT-2, GPT-NeoX, Cohere 2 and Falcon need keys that transformers 5 does not write."""


def write_folder(folder: Path, family: str) -> Path:
    name, sizes = FAMILIES[family]
    write_model(folder, name, **sizes)
    if family != "gemma2":
        write_tokenizer(folder, pre_tokenizers.ByteLevel(add_prefix_space=False))
        return folder
    write_sentencepiece(folder, "tokenizer.model")
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "GemmaTokenizer", "eos_token": "[SEP]", "bos_token": "[CLS]",'
        '"unk_token": "[UNK]", "pad_token": "[PAD]"}'
    )
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_probabilities_are_those_of_transformers(tmp_path: Path, family: str) -> None:
    folder = write_folder(tmp_path, family)
    file = tmp_path / "model.gguf"
    write_gguf(folder, file, "gguf_f16")
    tokenizer = loading.load_tokenizer(folder)
    check_content(file, tokenizer)
    ids = tokenizer.encode_text("where is my order 101?")
    with LlamaCpp(file) as runtime:
        bias = [[tokenizer.encode_text("order")[-1], 1e6]]  # a token with a text of its own
        reply = runtime.complete(ids, 1, n_probs=400, logit_bias=bias, **GREEDY)
    ranked = reply["completion_probabilities"][0]["top_logprobs"]
    model = loading.load_model(folder, "float32", "eager", "cpu")
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    assert len(ranked) > 100
    for option in ranked:
        assert option["logprob"] == pytest.approx(float(expected[option["id"]]), abs=2e-3)
    assert float(expected.max() - expected.min()) > 0.05  # else the comparison means nothing


@pytest.mark.parametrize("tied", [True, False])
def test_the_embedding_has_more_bits_only_if_it_is_the_output_layer(
    tmp_path: Path, tied: bool
) -> None:
    """llama.cpp's Q4_0 keeps more bits for the output layer and not for a separate embedding."""
    write_model(tmp_path, "LlamaForCausalLM", tie_word_embeddings=tied)
    write_tokenizer(tmp_path, pre_tokenizers.ByteLevel(add_prefix_space=False))
    write_gguf(tmp_path, tmp_path / "model.gguf", "gguf_q4_0")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["token_embd.weight"] == ("Q5_1" if tied else "Q4_0")
    assert types.get("output.weight") == (None if tied else "Q5_1")


def test_an_unknown_architecture_is_refused_with_the_alternatives(tmp_path: Path) -> None:
    sizes = {"word_embed_proj_dim": 64, "ffn_dim": 64}
    write_model(tmp_path, "OPTForCausalLM", **sizes)
    write_tokenizer(tmp_path, pre_tokenizers.ByteLevel(add_prefix_space=False))
    with pytest.raises(
        UserError, match=r"lacks OPTForCausalLM; set quantize\.method to nf4 or int8"
    ):
        write_gguf(tmp_path, tmp_path / "model.gguf", "gguf_f16")


def test_an_architecture_for_a_newer_gguf_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, "Glm4ForCausalLM", head_dim=16)
    write_tokenizer(tmp_path, pre_tokenizers.ByteLevel(add_prefix_space=False))
    with pytest.raises(UserError, match="Glm4ForCausalLM needs a newer version of gguf"):
        write_gguf(tmp_path, tmp_path / "model.gguf", "gguf_f16")
