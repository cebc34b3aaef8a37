"""The starter is reproducible, learns, and has a tokenizer that suits a tiny model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import model_io
from lockstep.starter import pretraining


def write_starter(
    documents: list[str], starter_params: pretraining.StarterParams, out: Path
) -> tuple[Path, float]:
    """Train a starter from a file with the documents; return its folder and its loss."""
    from transformers import set_seed

    set_seed(7)
    out.mkdir()
    text = out.with_suffix(".jsonl")
    text.write_text("".join(json.dumps({"text": line}) + "\n" for line in documents))
    model, tokenizer, loss = pretraining.train_starter(text, starter_params, "eager", 7)
    model_io.save_model(model, out, 1.0)
    model_io.save_tokenizer(tokenizer, out)
    return out, loss


def test_two_trainings_give_identical_bytes(
    documents: list[str],
    starter_params: pretraining.StarterParams,
    tmp_path: Path,
    read_folder: Callable[[Path], dict[str, bytes]],
):
    folder, loss = write_starter(documents, starter_params, tmp_path / "one")
    other, same_loss = write_starter(documents, starter_params, tmp_path / "other")
    assert loss == same_loss
    assert read_folder(folder) == read_folder(other)


@pytest.mark.slow
def test_pretraining_lowers_the_loss(
    documents: list[str], starter_params: pretraining.StarterParams, tmp_path: Path
):
    import math

    longer = starter_params.model_copy(update={"copying_steps": 0, "steps": 60})
    _, loss = write_starter(documents, longer, tmp_path / "one")
    assert loss < 0.5 * math.log(starter_params.vocabulary)  # the loss of a uniform prediction


def test_every_digit_is_a_token_of_its_own(tokenizer: Any):
    ids = tokenizer("order 1024 在2026年")["input_ids"]
    pieces = [tokenizer.decode([i]) for i in ids]
    assert [piece for piece in pieces if any(map(str.isdigit, piece))] == list("10242026")


def test_a_word_is_the_same_tokens_in_a_sentence_and_in_a_json_value(
    starter_params: pretraining.StarterParams,
):
    tokenizer = pretraining.train_tokenizer(['my order\n{"a":"order"}'] * 9, starter_params)
    assert tokenizer.tokenize("my order") == ["my", "Ġ", "order"]
    assert tokenizer.tokenize('{"a":"order"}')[-3:] == ['":"', "order", '"}']


@pytest.mark.parametrize(
    "text",
    [
        "Where is my order 42?",
        "请取消订单 42，谢谢！",
        "退款 refund 😀 ①\n\ttabs  and   spaces ",
        "café naïve 𠮷",
        "a , b . isn 't",
    ],
)
def test_decoding_restores_the_text(tokenizer: Any, text: str):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_vocabulary_contains_control_tokens_and_bytes(
    tokenizer: Any, starter_params: pretraining.StarterParams
):
    assert len(tokenizer) <= starter_params.vocabulary
    assert [tokenizer.convert_tokens_to_ids(token) for token in pretraining.CONTROL_TOKENS] == [
        0,
        1,
        2,
    ]
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_each_line_is_one_document(tmp_path: Path):
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "a\\n"}\n{"text": "退款"}\n', encoding="utf-8")
    assert pretraining.read_documents(path) == ["a\n", "退款"]


def test_a_line_separator_inside_a_text_does_not_end_its_line(tmp_path: Path):
    path = tmp_path / "text.jsonl"
    path.write_text(json.dumps({"text": "a\u2028b\x85c"}, ensure_ascii=False), encoding="utf-8")
    assert pretraining.read_documents(path) == ["a\u2028b\x85c"]


@pytest.mark.parametrize("line", ["not JSON", "{}", "[]", '"text"'])
def test_a_line_without_text_is_an_error(tmp_path: Path, line: str):
    (tmp_path / "text.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match="every line must be JSON"):
        pretraining.read_documents(tmp_path / "text.jsonl")


def test_too_little_text_is_an_error(
    documents: list[str], starter_params: pretraining.StarterParams, tmp_path: Path
):
    large = starter_params.model_copy(update={"batch_tokens": 100_000, "copying_steps": 0})
    with pytest.raises(UserError, match=r"lower starter\.batch_tokens"):
        write_starter(documents, large, tmp_path / "one")


def test_every_parameter_of_the_starter_has_a_default():
    params = pretraining.StarterParams()
    assert (params.vocabulary, params.layers, params.steps) == (2048, 3, 950)
    with pytest.raises(ValueError, match="hidden_size 130 must be an even multiple of heads 2"):
        pretraining.StarterParams(hidden_size=130)
