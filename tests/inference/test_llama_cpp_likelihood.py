"""Likelihoods of llama.cpp are those of transformers, but for the rounding to 16 bits."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.inference import likelihood, llama_cpp_likelihood
from lockstep.inference.llama_cpp import GREEDY, LlamaCpp
from lockstep.models.chat import ChatTokenizer, Example
from lockstep.records import Record

ANSWERS = [
    "cancel_order",
    "好的，订单 88 已取消。",
    "龘🙂 <|im_end|",
    "naïve — déjà vu\n",
    "a" * 40,
]
LABELS = ["cancel_order", "cancel_invoice", "track", "龘"]


@pytest.fixture(scope="module")
def examples(make_record: Callable[..., Record], chat_tokenizer: ChatTokenizer) -> list[Example]:
    """Answers with characters of several tokens, one without an answer, and windows of one."""
    rows = [make_record(f"Order {number}?", answer) for number, answer in enumerate(ANSWERS)]
    whole = [chat_tokenizer.encode_example(row, 400) for row in rows]
    without_answer = Example(whole[0].input_ids[:4], whole[0].labels[:4])
    return [*whole, without_answer, *likelihood.split_into_windows(whole[-1], 32)]


def test_losses_are_those_of_transformers(
    runtime: LlamaCpp, model: Any, chat_tokenizer: ChatTokenizer, examples: list[Example]
) -> None:
    expected = likelihood.compute_answer_losses(model, examples, 1)
    losses = llama_cpp_likelihood.compute_answer_losses(
        runtime, examples, chat_tokenizer.end_ids[0]
    )
    assert [tokens for _, tokens in losses] == [tokens for _, tokens in expected]
    for (loss, tokens), (expected_loss, _) in zip(losses, expected, strict=True):
        assert loss == pytest.approx(expected_loss, abs=0.01 * max(1, tokens))
    again = llama_cpp_likelihood.compute_answer_losses(
        runtime, examples[::-1], chat_tokenizer.end_ids[0]
    )
    assert again == losses[::-1], "a loss does not depend on the examples before"


def test_scores_of_choices_are_those_of_transformers(
    runtime: LlamaCpp, model: Any, chat_tokenizer: ChatTokenizer
) -> None:
    prompts = [
        chat_tokenizer.encode_prompt([{"role": "user", "content": text}])
        for text in ("Cancel my order.", "我的订单在哪里？")
    ]
    choices = [chat_tokenizer.encode_answer(label) for label in LABELS]
    assert choices[0][0] == choices[1][0], "two labels begin with the same token"
    end = chat_tokenizer.end_ids[0]
    scores = llama_cpp_likelihood.score_choices(runtime, prompts, choices, end)
    expected = likelihood.score_choices(model, prompts, choices, 2)
    for row, expected_row in zip(scores, expected, strict=True):
        assert row == pytest.approx(expected_row, abs=0.05)
    reordered = llama_cpp_likelihood.score_choices(runtime, prompts[::-1], choices[::-1], end)
    assert [row[::-1] for row in reordered[::-1]] == scores


def test_the_most_likely_token_is_marked(runtime: LlamaCpp, chat_tokenizer: ChatTokenizer) -> None:
    prompt = chat_tokenizer.encode_prompt([{"role": "user", "content": "Where is my order?"}])
    (best,) = runtime.complete(prompt, 1, **GREEDY)["tokens"]
    bytes_token = chat_tokenizer.encode_text("龘")[0]
    marks = [
        llama_cpp_likelihood.score_token(runtime, prompt, token, chat_tokenizer.end_ids[0])[1]
        for token in (best, best + 1, bytes_token)
    ]
    assert marks == [True, False, False]
