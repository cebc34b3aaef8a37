"""Every chat template that TRL ships is accepted, and the template decides what is learnt."""

import re
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.chat import IGNORE_INDEX, ChatTokenizer
from lockstep.records import Message, Record
from tests.models.chat_families import (
    FOLDER,
    NAMES,
    NAMES_WITH_TRAINING,
    build_pretrained,
    build_tokenizer,
)

QUESTION: Message = {"role": "user", "content": "Where is order 7?"}
ANSWER: Message = {"role": "assistant", "content": "It is in Lyon."}
CONVERSATIONS: dict[str, list[Message]] = {
    "single": [QUESTION, ANSWER],
    "system": [{"role": "system", "content": "Be brief."}, QUESTION, ANSWER],
    "multi": [QUESTION, {"role": "assistant", "content": "Wait."}, QUESTION, ANSWER],
}
CALL = {"type": "function", "function": {"name": "track", "arguments": {"order": "价7", "days": 2}}}
TOOL = {
    "type": "function",
    "function": {
        "name": "track",
        "description": "Find an order.",
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "string", "description": "Its number."}},
            "required": ["order"],
        },
    },
}
WITHOUT_TOOLS = {
    "cohere", "cohere2", "deepseek_r1_distill", "deepseekv3", "gemma", "gemma3", "lfm2", "llama3",
    "phi3", "phi3_5", "qwen2_5_vl",
}  # fmt: skip
"""Templates that do not write the tools, or not the arguments of a call."""
WITHOUT_REASONING = {
    "cohere", "cohere2", "gemma", "gemma3", "gemma4", "gemma4_v2", "gemma4_v3", "gemma4_v4", "lfm2",
    "lfm2_v2", "llama3", "llama3_1", "llama3_2", "phi3", "phi3_5", "qwen2_5", "qwen2_5_vl",
    "qwen3_5_nothink", "qwen3_instruct_2507", "qwen3_vl",
}  # fmt: skip
"""Templates that leave out the reasoning of a plain answer."""


def make_record(messages: list[Message], **values: Any) -> Record:
    return Record(messages=messages, task="t", source="a", origin="a:1", **values)


def decode_learnt(tokenizer: ChatTokenizer, record: Record, every_turn: bool = False) -> str:
    """Return the text that the loss covers."""
    loss_on = "all" if every_turn else "last"
    labels = tokenizer.encode_example(record, 10_000, loss_on).labels
    return tokenizer.pretrained.decode([label for label in labels if label != IGNORE_INDEX])


def render_by_transformers(tokenizer: ChatTokenizer, messages: list[Message]) -> list[int]:
    encoded = tokenizer.pretrained.apply_chat_template(
        messages, tokenize=True, return_dict=True, add_generation_prompt=True
    )
    return list(encoded["input_ids"])


@pytest.mark.parametrize("case", CONVERSATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_training_and_prediction_read_the_generation_prompt_of_transformers(name: str, case: str):
    tokenizer = build_tokenizer(name)
    record = make_record(CONVERSATIONS[case])
    prompt = tokenizer.encode_prompt(record.prompt)
    assert prompt == render_by_transformers(tokenizer, record.prompt)
    assert tokenizer.encode_example(record, 10_000).input_ids[: len(prompt)] == prompt


@pytest.mark.parametrize("case", CONVERSATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_conversation_is_what_the_template_writes_up_to_an_end_token(name: str, case: str):
    """The templates of DeepSeek and Nemotron write another prompt for training than for answers."""
    tokenizer = build_tokenizer(name)
    record = make_record(CONVERSATIONS[case])
    text = tokenizer.pretrained.decode(tokenizer.encode_example(record, 10_000).input_ids)
    written = tokenizer.pretrained.apply_chat_template(record.messages, tokenize=False)
    if name.startswith(("deepseek", "nemotron")):
        assert re.search(r"<think>\n+</think>\s*It is in Lyon\.<[^<]*>$", text)
    elif name == "glm4moe":  # it writes no end token
        assert text == written + "<|endoftext|>"
    else:
        assert written.startswith(text)
        assert text.endswith(tuple(tokenizer.pretrained.decode([i]) for i in tokenizer.end_ids))


@pytest.mark.parametrize("name", NAMES_WITH_TRAINING)
def test_labels_are_those_of_trl_s_training_template(name: str):
    """White space and headers aside; TRL also learns what follows the end token."""
    pretrained = build_pretrained(name)
    encoded = pretrained.apply_chat_template(
        CONVERSATIONS["single"],
        chat_template=(FOLDER / f"{name}_training.jinja").read_text(encoding="utf-8"),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    expected = pretrained.decode([token for token, is_learnt in pairs if is_learnt])
    learnt = decode_learnt(build_tokenizer(name), make_record(CONVERSATIONS["single"]))
    learnt, expected = (
        re.sub(r"\s|<think>|</think>|<｜Assistant｜>|<\|start\|>assistant", "", text)
        for text in (learnt, expected)
    )
    if name == "glm4moe":  # GLM's template writes no end token, so the first is added
        learnt = learnt.replace("<|endoftext|>", "<|user|>")
    assert expected.startswith(learnt)
    assert "ItisinLyon.<" in learnt


@pytest.mark.parametrize("name", NAMES)
def test_every_turn_of_the_assistant_is_learnt_on_request(name: str):
    learnt = decode_learnt(build_tokenizer(name), make_record(CONVERSATIONS["multi"]), True)
    assert "Wait." in learnt
    assert "It is in Lyon." in learnt
    assert "Where" not in learnt


@pytest.mark.parametrize("name", NAMES)
def test_a_generated_answer_is_read_back_without_what_the_template_adds(name: str):
    tokenizer = build_tokenizer(name)
    ids = [*tokenizer.encode_answer("It is in Lyon."), 5, 6, 7]
    answer = tokenizer.parse_answer(ids)
    assert (answer.text, answer.reasoning, answer.truncated) == ("It is in Lyon.", "", False)


@pytest.mark.parametrize("name", NAMES)
def test_reasoning_is_learnt_and_read_back_or_refused(name: str):
    tokenizer = build_tokenizer(name)
    record = make_record([QUESTION, {**ANSWER, "reasoning_content": "It left on Monday."}])
    if name in WITHOUT_REASONING:
        with pytest.raises(UserError, match=r"^a:1: .*reasoning"):
            tokenizer.encode_record(record)
        return
    assert "It left on Monday." in decode_learnt(tokenizer, record)
    answer = tokenizer.parse_answer(tokenizer.encode_record(record)[1])
    assert (answer.text, answer.reasoning) == ("It is in Lyon.", "It left on Monday.")
    assert answer.reasoning_tokens == len(tokenizer.encode_text("It left on Monday."))


@pytest.mark.parametrize("name", NAMES)
def test_tool_calls_are_learnt_and_read_back_or_refused(name: str):
    tokenizer = build_tokenizer(name)
    call: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    record = make_record([QUESTION, call], tools=[TOOL])
    if name in WITHOUT_TOOLS:
        with pytest.raises(UserError, match=r"^a:1: the base's chat template leaves out .*t"):
            tokenizer.encode_record(record)
        return
    prompt, ids = tokenizer.encode_record(record)
    assert "Find an order." in tokenizer.pretrained.decode(prompt)
    answer = tokenizer.parse_answer(ids)
    assert not answer.truncated
    for part in ("track", "价7", "2"):
        assert part in answer.text
    marks = re.findall(r"<\|?tool_call\w*\|?>", tokenizer.template.call_text)
    assert all(mark in answer.text for mark in marks)
