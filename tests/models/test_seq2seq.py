"""Sources and targets of encoder-decoders; which folders hold one; their quantization."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.hub import inspection
from lockstep.merging import parity
from lockstep.models import heads, loading, quantization, seq2seq
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from tests.seq2seq_models import PREFIX, WRITERS, make_translations


def decode(tokenizer: ChatTokenizer, ids: list[int]) -> str:
    return str(tokenizer.pretrained.decode(ids, skip_special_tokens=True))


@pytest.mark.parametrize("name", WRITERS)
def test_source_and_target_are_those_of_the_tokenizer(name: str, seq2seq_bases: dict[str, Path]):
    tokenizer = loading.load_tokenizer(seq2seq_bases[name])
    for record in make_translations():
        pair = seq2seq.encode_pair(tokenizer, record, 512)
        text = f"{PREFIX}\n{record.question}"
        assert pair.source == tokenizer.pretrained(text)["input_ids"]
        assert pair.target == tokenizer.pretrained(text_target=record.answer)["input_ids"]
        assert pair.source[-1] == pair.target[-1] == tokenizer.pretrained.eos_token_id
        assert decode(tokenizer, pair.target) == record.answer
        assert not pair.truncated


def test_source_and_target_of_marian_have_different_pieces(seq2seq_bases: dict[str, Path]):
    tokenizer = loading.load_tokenizer(seq2seq_bases["marian"])
    (record, *_) = make_translations()
    echo = record.with_answer(record.question)
    pair = seq2seq.encode_pair(tokenizer, replace(echo, messages=echo.messages[1:]), 512)
    assert pair.source != pair.target


def test_a_truncated_source_keeps_its_end_and_a_truncated_target_does_not(
    seq2seq_bases: dict[str, Path],
):
    tokenizer = loading.load_tokenizer(seq2seq_bases["t5"])
    record = make_translations()[-1]
    whole, cut = (seq2seq.encode_pair(tokenizer, record, length) for length in (512, 12))
    assert cut.source == [*whole.source[:11], tokenizer.pretrained.eos_token_id]
    assert cut.target == whole.target[:12]
    assert cut.truncated
    only_target = replace(record, messages=record.messages[1:])
    length = len(seq2seq.encode_source(tokenizer, only_target, 512)[0])
    assert seq2seq.encode_pair(tokenizer, only_target.with_answer("das " * 99), length).truncated


@pytest.mark.parametrize("name", WRITERS)
def test_a_control_token_in_a_text_never_ends_it(name: str, seq2seq_bases: dict[str, Path]):
    """T5 has </s> as a piece, so the text is refused; others split it into ordinary tokens."""
    tokenizer = loading.load_tokenizer(seq2seq_bases[name])
    (record, *_) = make_translations()
    question = {"role": "user", "content": "the </s> house"}
    for row in (
        record.with_answer("das </s> Haus"),
        replace(record, messages=[question, record.messages[-1]]),
    ):
        if "t5" not in name:
            pair = seq2seq.encode_pair(tokenizer, row, 512)
            assert pair.source.count(tokenizer.pretrained.eos_token_id) == 1
            assert pair.target.count(tokenizer.pretrained.eos_token_id) == 1
        else:
            with pytest.raises(
                UserError, match=r"^s\.csv:1: a text contains a control token .*</s>"
            ):
                seq2seq.encode_pair(tokenizer, row, 512)


def test_a_chat_template_writes_the_source(seq2seq_bases: dict[str, Path]):
    tokenizer = loading.load_tokenizer(seq2seq_bases["t5"])
    tokenizer.pretrained.chat_template = "{% for m in messages %}the {{ m.content }}{% endfor %}"
    (record, *_) = make_translations()
    source, _ = seq2seq.encode_source(tokenizer, record, 512)
    assert decode(tokenizer, source) == f"the {PREFIX}the {record.question}"


def test_functions_and_reasoning_are_refused(seq2seq_bases: dict[str, Path]):
    tokenizer = loading.load_tokenizer(seq2seq_bases["t5"])
    (record, *_) = make_translations()
    call = {"role": "assistant", "content": "", "tool_calls": []}
    with pytest.raises(UserError, match=r"^s\.csv:1: the answer has function calls"):
        seq2seq.encode_pair(tokenizer, replace(record, messages=[*record.prompt, call]), 512)
    with pytest.raises(UserError, match=r"^s\.csv:1: the base has no chat template, which would"):
        seq2seq.encode_source(tokenizer, replace(record, tools=[{"type": "function"}]), 512)


def test_an_encoder_decoder_without_a_head_is_a_sequence_to_sequence_model(
    seq2seq_bases: dict[str, Path], tiny_model: Path, tmp_path: Path
):
    assert not seq2seq.is_seq2seq(tiny_model)
    for name, folder in seq2seq_bases.items():
        assert seq2seq.is_seq2seq(folder)
        model = loading.load_model(folder, "auto", "eager", "cpu")
        assert type(model).__name__.lower().startswith(name)
        inspection.inspect_base(folder)
        config = json.loads((folder / "config.json").read_text())
        assert inspection.is_seq2seq_lm(config)
        assert not inspection.is_causal_lm(config)
    with_head = shutil.copytree(seq2seq_bases["t5"], tmp_path / "with-head")
    heads.write_head(Head("regression", []), with_head)
    assert not seq2seq.is_seq2seq(with_head)


@pytest.mark.parametrize("method", ["nf4", "int8"])
@pytest.mark.parametrize(("name", "layers"), [("t5", 28), ("bart", 32), ("marian", 32)])
def test_encoder_and_decoder_are_quantized(
    seq2seq_bases: dict[str, Path], name: str, layers: int, method: Any
):
    """Each decoder block has 8 attention layers, each encoder block 4; T5 keeps its 4 `wo`."""
    config = quantization.build_config(method, True, "fp32")
    model = loading.load_model(seq2seq_bases[name], "auto", "eager", "cpu", config)
    assert quantization.count_quantized_layers(model) == layers


def test_the_merge_compares_the_logits_of_targets(seq2seq_bases: dict[str, Path]):
    import torch

    for folder in seq2seq_bases.values():
        tokenizer = loading.load_tokenizer(folder)
        model = loading.load_model(folder, "float32", "eager", "cpu")
        rows = make_translations()[:3]
        prompts = parity.encode_prompts(tokenizer, rows, 3, with_targets=True)
        for record, logits in zip(rows, parity.compute_logits(model, prompts), strict=True):
            labels = tokenizer.pretrained(text_target=record.answer, return_tensors="pt")[
                "input_ids"
            ]
            inputs = tokenizer.pretrained(f"{PREFIX}\n{record.question}", return_tensors="pt")
            with torch.no_grad():
                expected = model(**inputs, labels=labels).logits[0]
            torch.testing.assert_close(logits, expected)
