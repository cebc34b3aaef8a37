"""Prompts, answers and labels follow the chat template of the base."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models import chat
from lockstep.records import Record

PROMPT = (
    "<|im_start|>system\nName the intent.<|im_end|>\n"
    "<|im_start|>user\nwhere is 42？<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@pytest.fixture
def record(make_record: Callable[..., Record]) -> Record:
    return make_record("where is 42？", "track 它", system="Name the intent.")


def test_the_prompt_is_chatml_up_to_the_assistant_s_header(tokenizer: Any, record: Record):
    assert tokenizer.render_prompt(record.prompt) == PROMPT
    assert tokenizer.decode(tokenizer.encode_prompt(record.prompt)) == PROMPT


def test_labels_are_the_answer_and_its_end_of_turn(tokenizer: Any, record: Record):
    example = tokenizer.encode_example(record, 1000)
    assert len(example.input_ids) == len(example.labels)
    labels = [label for label in example.labels if label != chat.IGNORE_INDEX]
    assert tokenizer.decode(labels) == "track 它<|im_end|>"
    assert labels == example.labels[-len(labels) :] == example.input_ids[-len(labels) :]
    assert example.answer_tokens == len(labels)


def test_prompt_and_answer_begin_the_whole_conversation(tokenizer: Any, record: Record):
    conversation_ids = tokenizer.apply_chat_template(record.messages, return_dict=True)["input_ids"]
    example_ids = tokenizer.encode_example(record, 1000).input_ids
    assert example_ids == tokenizer.encode_prompt(record.prompt) + tokenizer.encode_answer(
        record.answer
    )
    assert conversation_ids[: len(example_ids)] == example_ids
    assert tokenizer.decode(conversation_ids[len(example_ids) :]) == "\n"


def test_labels_equal_the_assistant_mask_of_transformers(tokenizer: Any, record: Record):
    encoded = tokenizer.apply_chat_template(
        record.messages, return_dict=True, return_assistant_tokens_mask=True
    )
    labels = tokenizer.encode_example(record, 1000).labels
    mask = [int(label != chat.IGNORE_INDEX) for label in labels]
    assert list(encoded["assistant_masks"]) == mask + [0] * (len(encoded["input_ids"]) - len(mask))


def test_an_earlier_answer_in_a_prompt_ends_with_its_end_of_turn_and_a_newline(
    tokenizer: Any, record: Record
):
    turns = [*record.messages, {"role": "user", "content": "and 43?"}]
    assert tokenizer.render_prompt(turns) == (
        PROMPT + "track 它<|im_end|>\n<|im_start|>user\nand 43?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("excess", [1, 2, 5])
def test_long_examples_are_truncated_on_the_right(tokenizer: Any, record: Record, excess: int):
    whole = tokenizer.encode_example(record, 1000)
    short = tokenizer.encode_example(record, len(whole.input_ids) - excess)
    assert short.input_ids == whole.input_ids[:-excess]
    assert short.labels == whole.labels[:-excess]


def test_the_spelling_of_a_control_token_in_an_answer_stays_text(tokenizer: Any, record: Record):
    ids = tokenizer.encode_text("<|im_end|>")
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == "<|im_end|>"
    # the template can still write control tokens after that
    assert tokenizer.encode_prompt(record.prompt).count(tokenizer.eos_token_id) == 2


def test_a_control_token_of_the_base_in_a_turn_is_an_error(tokenizer: Any):
    """Control tokens differ from base to base, so reading the data cannot reject all of them."""
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end_of_turn>"]})
    with pytest.raises(UserError, match=r"<end_of_turn> is a control token .* user turn: 'a <end"):
        tokenizer.encode_prompt([{"role": "user", "content": "a <end_of_turn> b"}])


def test_an_error_of_the_template_names_the_roles(tokenizer: Any):
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    turns = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    with pytest.raises(UserError, match="refuses system, user: System role not supported"):
        tokenizer.encode_prompt(turns)


def test_rendered_text_has_the_ids_of_the_encoded_example(tokenizer: Any, record: Record):
    text = tokenizer.render_prompt(record.prompt) + tokenizer.render_answer(record.answer)
    assert tokenizer(text)["input_ids"] == tokenizer.encode_example(record, 1000).input_ids


def test_a_decoded_answer_has_no_control_tokens(tokenizer: Any):
    assert tokenizer.decode_answer(tokenizer.encode_answer("a , b。")) == "a , b。"


def test_a_template_that_writes_the_date_is_an_error(tokenizer: Any):
    tokenizer.chat_template = "{{ strftime_now('%d') }}" + tokenizer.chat_template
    with pytest.raises(UserError, match="strftime_now"):
        chat.check_tokenizer(tokenizer)


def test_rendering_without_a_template_is_an_error(
    tokenizer: Any, make_record: Callable[..., Record]
):
    tokenizer.chat_template = None
    chat.check_tokenizer(tokenizer)  # an encoder needs no template
    with pytest.raises(UserError, match=r"chat_template\.jinja"):
        tokenizer.encode_example(make_record("q", "a"), 100)


def test_an_eos_token_that_does_not_end_the_turn_is_an_error(tokenizer: Any):
    tokenizer.eos_token = tokenizer.pad_token
    with pytest.raises(UserError, match="eos_token"):
        chat.check_tokenizer(tokenizer)


def test_a_tokenizer_without_eos_token_is_an_error(tokenizer: Any):
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="eos_token"):
        chat.check_tokenizer(tokenizer)


def test_a_template_without_generation_prompt_is_an_error(tokenizer: Any):
    tokenizer.chat_template = tokenizer.chat_template.replace("add_generation_prompt", "false")
    with pytest.raises(UserError, match="generation prompt"):
        chat.check_tokenizer(tokenizer)


CALL = {"type": "function", "function": {"name": "track", "arguments": {"order": "价1"}}}
TOOLS = [{"type": "function", "function": {"name": "track", "description": "where it is"}}]


def test_tools_calls_and_results_are_written_as_qwen_writes_them(tokenizer: Any):
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "where?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "Lyon"},
    ]
    assert tokenizer.render_prompt(turns, TOOLS) == (
        '<|im_start|>system\nBe kind.\n\nTools:\n{"name": "track", "description": "where it is"}\n'
        "<|im_end|>\n<|im_start|>user\nwhere?<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
        '{"name": "track", "arguments": {"order": "价1"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>tool\nLyon<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("last", "trained_text"),
    [
        (
            {"content": "", "tool_calls": [CALL]},
            '<tool_call>\n{"name": "track", "arguments": {"order": "价1"}}\n</tool_call><|im_end|>',
        ),
        (
            {"content": "In Lyon.", "reasoning_content": "Look."},
            "<think>\nLook.\n</think>\n\nIn Lyon.<|im_end|>",
        ),
    ],
)
def test_tool_calls_and_reasoning_are_trained(tokenizer: Any, last: dict, trained_text: str):
    turns = [{"role": "user", "content": "where?"}, {"role": "assistant", **last}]
    record = Record(messages=turns, task="t", source="a", origin="a:1", tools=TOOLS)
    example = tokenizer.encode_example(record, 1000)
    labels = [label for label in example.labels if label != chat.IGNORE_INDEX]
    assert tokenizer.decode(labels) == trained_text
    assert tokenizer.decode(example.input_ids).startswith("<|im_start|>system\nTools:\n")


def test_the_error_for_a_template_without_tools_names_the_row(tokenizer: Any):
    without_tools = copy.deepcopy(tokenizer)
    without_tools.chat_template = without_tools.chat_template.replace("message['tool_calls']", "[]")
    without_tools.chat_template = without_tools.chat_template.replace(
        "<|im_end|>{% endgen", "{% endgen"
    )
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
    ]
    record = Record(messages=turns, task="t", source="a", origin="a.jsonl:7")
    with pytest.raises(UserError, match=r"^a\.jsonl:7: the base's chat template does not continue"):
        without_tools.encode_example(record, 1000)


def test_plain_text_has_labels_from_its_second_token_on(tokenizer: Any):
    record = Record(
        messages=[{"role": "assistant", "content": "where is it"}],
        task="t",
        source="a",
        origin="a:1",
    )
    example = tokenizer.encode_example(record, 1000)
    assert tokenizer.decode(example.input_ids) == "<|im_end|>where is it<|im_end|>"
    assert example.labels == [chat.IGNORE_INDEX, *example.input_ids[1:]]
