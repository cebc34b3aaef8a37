"""Tokenizers with rules that llama.cpp knows become its tokenizers; others are refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from tokenizers import Regex, pre_tokenizers

from lockstep.errors import UserError
from lockstep.export.gguf_conversion import write_gguf
from lockstep.export.gguf_tokenizer import SPLIT_PATTERNS
from lockstep.inference.llama_cpp import LlamaCpp
from tests.export.tiny_models import write_model, write_tokenizer

PROBES = [
    "I've 3333 orders (of 12,345): they'LL cost €7.50!!!\n\n  Where's  it?\t",
    "取消订单２０２６，多久到账？ я не знаю … naïve ÀÉ 🚀🦙 don't_split  \r\n x",
]
"""Contractions in both cases, groups of digits, scripts, signs and blanks of all kinds."""


def build_byte_level(*steps: Any, use_regex: bool = False) -> Any:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    return pre_tokenizers.Sequence([*steps, byte_level]) if steps else byte_level


def build_split(name: str) -> Any:
    (pattern,) = (p for p, other in SPLIT_PATTERNS.items() if other == name)
    return build_byte_level(pre_tokenizers.Split(Regex(pattern), "isolated"))


KNOWN: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: build_split("qwen2"),
    "llama-bpe": lambda: build_split("llama-bpe"),
    "gpt-2": lambda: build_byte_level(use_regex=True),
    "smollm": lambda: build_byte_level(
        pre_tokenizers.Digits(individual_digits=True), use_regex=True
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_llama_cpp_splits_texts_as_the_tokenizer_does(tmp_path: Path, name: str) -> None:
    write_model(tmp_path, "Qwen2ForCausalLM")
    pretrained = write_tokenizer(tmp_path, KNOWN[name]())
    write_gguf(tmp_path, tmp_path / "model.gguf", "gguf_q8_0")
    field = gguf.GGUFReader(tmp_path / "model.gguf").fields["tokenizer.ggml.pre"]
    assert field.contents() == name
    with LlamaCpp(tmp_path / "model.gguf") as runtime:
        runtime.load(1)
        for text in PROBES:
            reply = runtime.post("/tokenize", {"content": text, "add_special": False})
            assert reply["tokens"] == pretrained.encode(text), text


@pytest.mark.parametrize(
    ("pre_tokenizer", "name"),
    [
        (build_byte_level(pre_tokenizers.Whitespace()), "Whitespace + ByteLevel"),
        (build_byte_level(pre_tokenizers.Split(Regex("x+"), "isolated")), "Split(x+) + ByteLevel"),
        (pre_tokenizers.ByteLevel(add_prefix_space=True), "ByteLevel"),
    ],
)
def test_other_rules_are_refused_by_name(tmp_path: Path, pre_tokenizer: Any, name: str) -> None:
    write_model(tmp_path, "Qwen2ForCausalLM")
    write_tokenizer(tmp_path, pre_tokenizer)
    with pytest.raises(UserError) as caught:
        write_gguf(tmp_path, tmp_path / "model.gguf", "gguf_q8_0")
    assert caught.value.message == (
        f"{tmp_path}/tokenizer.json: llama.cpp knows no pre-tokenizer like {name}; set "
        "quantize.method to nf4 or int8"
    )
    assert not (tmp_path / "model.gguf").exists()
