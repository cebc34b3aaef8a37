"""A GGUF file that differs from the model, its tokenizer or its chat template is found."""

import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import gguf
import pytest
from safetensors.torch import load_file, save_file

from lockstep.errors import UserError
from lockstep.export.gguf_check import check_content, check_gguf
from lockstep.export.gguf_conversion import write_gguf
from lockstep.models import loading
from lockstep.models.chat import ChatTokenizer
from lockstep.models.gguf_folder import GGUF_FILE
from lockstep.records import Message, Record

TOOL = {
    "type": "function",
    "function": {
        "name": "track",
        "description": "Find an order – by number",
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["order"],
        },
    },
}
CALL = {"type": "function", "function": {"name": "track", "arguments": {"order": "单7", "days": 2}}}
QUESTION: Message = {"role": "user", "content": "I've 3333 orders!\n\n Where's  A-7? 多久到账？🚀"}
ANSWER: Message = {"role": "assistant", "content": "In Lyon."}


def make_record(*messages: Message, tools: tuple[Any, ...] = ()) -> Record:
    return Record(
        messages=list(messages), task="t", source="t.csv", origin="t.csv:1", tools=list(tools)
    )


RECORDS = [
    make_record(QUESTION, ANSWER),
    make_record({"role": "system", "content": "Be kind."}, QUESTION, ANSWER, QUESTION, ANSWER),
    make_record(
        QUESTION, {"role": "assistant", "content": "", "tool_calls": [CALL]}, tools=(TOOL,)
    ),
    make_record(
        QUESTION,
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": '{"city": "Lyon"}', "name": "track"},
        ANSWER,
        tools=(TOOL,),
    ),
    make_record(QUESTION, {**ANSWER, "reasoning_content": "Hm."}, QUESTION, ANSWER),
    make_record({"role": "user", "content": "  blanks \n"}, ANSWER),
    make_record(ANSWER),
]
"""Conversations of all kinds, and a plain text."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A file of the tiny model, whose small vocabulary is read quickly."""
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_gguf(tiny_model, path, "gguf_q8_0")
    return path


def test_llama_cpp_renders_and_splits_all_kinds_of_conversations_as_we_do(
    file: Path, capsys: pytest.CaptureFixture[str], tokenizer: ChatTokenizer
) -> None:
    agreement = check_gguf(file, tokenizer, RECORDS)
    assert agreement.round() == {"token_agreement": 1.0, "prompt_agreement": 1.0}
    assert capsys.readouterr().err == ""


def test_unicode_that_llama_cpp_does_not_normalize_is_counted_and_shown(
    file: Path, capsys: pytest.CaptureFixture[str], tokenizer: ChatTokenizer
) -> None:
    """The tokenizer composes letters (NFC), llama.cpp has no normalizer for BPE."""
    text = unicodedata.normalize("NFD", "café")
    rows = [*RECORDS, make_record({"role": "user", "content": text}, ANSWER)]
    agreement = check_gguf(file, tokenizer, rows)
    assert agreement.round() == {"token_agreement": 0.875, "prompt_agreement": 0.8571}
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == (
        f"model.gguf: 1 of 7 validation texts differ in llama.cpp: {text!r} becomes another prompt"
    )


def test_a_pre_tokenizer_with_other_rules_is_refused(starter_gguf: Path, tmp_path: Path) -> None:
    """The name of the rules in the file is replaced by that of another tokenizer.

    The rules matter for a vocabulary with long tokens, as the starter has.
    """
    content = (starter_gguf / GGUF_FILE).read_bytes()
    start = content.index(b"tokenizer.ggml.pre") + len(b"tokenizer.ggml.pre") + 4 + 8
    assert content[start : start + 5] == b"qwen2"
    changed = tmp_path / "model.gguf"
    changed.write_bytes(content[:start] + b"bloom" + content[start + 5 :])
    with pytest.raises(UserError, match=r"llama.cpp splits \d of 7 validation texts into other"):
        check_gguf(changed, loading.load_tokenizer(starter_gguf), RECORDS)


def test_another_chat_template_is_refused(
    file: Path, tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    changed = tmp_path / "model.gguf"
    changed.write_bytes(
        file.read_bytes().replace(b"<|im_end|>\n{% endif %}", b"<|im_end|> {% endif %}")
    )
    with pytest.raises(UserError, match=r"the file has another chat template; set quantize\."):
        check_content(changed, tokenizer)


def test_another_vocabulary_is_refused(
    file: Path, tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    content, length = file.read_bytes(), (7).to_bytes(8, "little")
    changed = tmp_path / "model.gguf"
    changed.write_bytes(content.replace(length + "Ġorder".encode(), length + "Ġordep".encode()))
    with pytest.raises(UserError, match=r"token \d+ of the file is not 'Ġorder'; set quantize\."):
        check_content(changed, tokenizer)


def test_all_end_tokens_are_in_the_file(tmp_path: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    settings = {"eos_token_id": [2, 0]}
    (tmp_path / "model/generation_config.json").write_text(json.dumps(settings))
    write_gguf(tmp_path / "model", tmp_path / "model.gguf", "gguf_q8_0")
    fields = gguf.GGUFReader(tmp_path / "model.gguf").fields
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 2
    assert fields["tokenizer.ggml.eot_token_id"].contents() == 0
    check_content(tmp_path / "model.gguf", loading.load_tokenizer(tmp_path / "model"))


def test_a_missing_end_token_is_refused(file: Path, tmp_path: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model/generation_config.json").write_text('{"eos_token_id": [2, 0]}')
    with pytest.raises(UserError, match=r"the file lacks the end token '<\|endoftext\|>'"):
        check_content(file, loading.load_tokenizer(tmp_path / "model"))


def test_numbers_beyond_16_bits_are_refused(
    tmp_path: Path, tokenizer: ChatTokenizer, tiny_model: Path
) -> None:
    """bfloat16 and float32 reach 3e38, float16 only 65504."""
    shutil.copytree(tiny_model, tmp_path / "model")
    weights = tmp_path / "model/model.safetensors"
    tensors = load_file(weights)
    tensors["model.layers.0.mlp.up_proj.weight"][0, 0] = 1e6
    save_file(tensors, weights, {"format": "pt"})
    write_gguf(tmp_path / "model", tmp_path / "model.gguf", "gguf_f16")
    with pytest.raises(UserError, match=r"blk.0.ffn_up.weight has numbers outside of the range of"):
        check_content(tmp_path / "model.gguf", tokenizer)
