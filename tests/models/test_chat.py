"""Prompts, answers and labels follow the chat template of the base."""

import copy
from collections.abc import Callable

import pytest

from lockstep.errors import UserError
from lockstep.models import chat
from lockstep.models.chat import ChatTokenizer
from lockstep.records import Record

PROMPT = (
    "<|im_start|>system\nName the intent.<|im_end|>\n"
    "<|im_start|>user\nwhere is 42？<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@pytest.fixture
def record(make_record: Callable[..., Record]) -> Record:
    return make_record("where is 42？", "track 它", system="Name the intent.")


def test_the_prompt_is_chatml_up_to_the_assistant_s_header(
    tokenizer: ChatTokenizer, record: Record
):
    assert tokenizer.render_prompt(record.prompt) == PROMPT
    assert tokenizer.pretrained.decode(tokenizer.encode_prompt(record.prompt)) == PROMPT


def test_labels_are_the_answer_and_its_end_of_turn(tokenizer: ChatTokenizer, record: Record):
    example = tokenizer.encode_example(record, 1000)
    assert len(example.input_ids) == len(example.labels)
    labels = [label for label in example.labels if label != chat.IGNORE_INDEX]
    assert tokenizer.pretrained.decode(labels) == "track 它<|im_end|>"
    assert labels == example.labels[-len(labels) :] == example.input_ids[-len(labels) :]
    assert example.answer_tokens == len(labels)


def test_prompt_and_answer_begin_the_whole_conversation(tokenizer: ChatTokenizer, record: Record):
    conversation_ids = tokenizer.pretrained.apply_chat_template(record.messages, return_dict=True)[
        "input_ids"
    ]
    example_ids = tokenizer.encode_example(record, 1000).input_ids
    assert example_ids == tokenizer.encode_prompt(record.prompt) + tokenizer.encode_answer(
        record.answer
    )
    assert conversation_ids[: len(example_ids)] == example_ids
    assert tokenizer.pretrained.decode(conversation_ids[len(example_ids) :]) == "\n"


def test_labels_equal_the_assistant_mask_of_transformers(tokenizer: ChatTokenizer, record: Record):
    encoded = tokenizer.pretrained.apply_chat_template(
        record.messages, return_dict=True, return_assistant_tokens_mask=True
    )
    labels = tokenizer.encode_example(record, 1000).labels
    mask = [int(label != chat.IGNORE_INDEX) for label in labels]
    assert list(encoded["assistant_masks"]) == mask + [0] * (len(encoded["input_ids"]) - len(mask))


def test_an_earlier_answer_in_a_prompt_ends_with_its_end_of_turn_and_a_newline(
    tokenizer: ChatTokenizer, record: Record
):
    turns = [*record.messages, {"role": "user", "content": "and 43?"}]
    assert tokenizer.render_prompt(turns) == (
        PROMPT + "track 它<|im_end|>\n<|im_start|>user\nand 43?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("excess", [1, 2, 5])
def test_long_examples_are_truncated_on_the_right(
    tokenizer: ChatTokenizer, record: Record, excess: int
):
    whole = tokenizer.encode_example(record, 1000)
    short = tokenizer.encode_example(record, len(whole.input_ids) - excess)
    assert short.input_ids == whole.input_ids[:-excess]
    assert short.labels == whole.labels[:-excess]


def test_the_spelling_of_a_control_token_in_an_answer_stays_text(
    tokenizer: ChatTokenizer, record: Record
):
    ids = tokenizer.encode_text("<|im_end|>")
    assert tokenizer.end_ids[0] not in ids
    assert tokenizer.pretrained.decode(ids) == "<|im_end|>"
    # the template can still write control tokens after that
    assert tokenizer.encode_prompt(record.prompt).count(tokenizer.end_ids[0]) == 2


def test_a_control_token_of_the_base_in_a_turn_is_an_error(tokenizer: ChatTokenizer):
    """Control tokens differ from base to base, so reading the data cannot reject all of them."""
    tokenizer.pretrained.add_special_tokens({"additional_special_tokens": ["<end_of_turn>"]})
    tokenizer = ChatTokenizer(tokenizer.pretrained)
    with pytest.raises(UserError, match=r"<end_of_turn> is a control token .* user turn: 'a <end"):
        tokenizer.encode_prompt([{"role": "user", "content": "a <end_of_turn> b"}])


def test_an_error_of_the_template_names_the_roles(tokenizer: ChatTokenizer):
    tokenizer.pretrained.chat_template = "{{ raise_exception('System role not supported') }}"
    turns = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    with pytest.raises(UserError, match="refuses system, user: System role not supported"):
        tokenizer.encode_prompt(turns)


def test_rendered_text_has_the_ids_of_the_encoded_example(tokenizer: ChatTokenizer, record: Record):
    text = tokenizer.render_prompt(record.prompt) + tokenizer.render_answer(record.answer)
    assert (
        tokenizer.pretrained(text)["input_ids"] == tokenizer.encode_example(record, 1000).input_ids
    )


def test_a_decoded_answer_has_no_control_tokens(tokenizer: ChatTokenizer):
    assert tokenizer.parse_answer(tokenizer.encode_answer("a , b。")).text == "a , b。"


def test_encoding_a_conversation_without_a_template_is_an_error(
    tokenizer: ChatTokenizer, make_record: Callable[..., Record]
):
    tokenizer.pretrained.chat_template = None
    tokenizer.check()  # an encoder needs no template
    with pytest.raises(UserError, match=r"base\.chat_template"):
        tokenizer.encode_example(make_record("q", "a"), 100)


def test_the_token_that_the_template_writes_after_an_answer_ends_it(tokenizer: ChatTokenizer):
    """Qwen2.5's base models name <|endoftext|> as eos_token, and ChatML ends turns otherwise."""
    pretrained = tokenizer.pretrained
    pretrained.eos_token = pretrained.pad_token
    tokenizer = ChatTokenizer(pretrained)
    end = pretrained.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.end_ids == (pretrained.eos_token_id, end)
    assert tokenizer.encode_answer("b")[-1] == end


def test_a_tokenizer_without_any_end_token_is_an_error(tokenizer: ChatTokenizer):
    pretrained = tokenizer.pretrained
    pretrained.eos_token = None
    pretrained.chat_template = pretrained.chat_template.replace("<|im_end|>", "")
    with pytest.raises(UserError, match="eos_token"):
        ChatTokenizer(pretrained).check()


def test_an_answer_without_end_token_in_the_template_gets_the_first_one_of_the_model(
    tokenizer: ChatTokenizer,
):
    pretrained = tokenizer.pretrained
    pretrained.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    tokenizer = ChatTokenizer(pretrained, [0])
    assert pretrained.eos_token_id != 0
    assert pretrained.decode(tokenizer.encode_answer("b")) == "b <|im_end|>"


def test_a_template_that_does_not_continue_its_prompt_is_an_error(tokenizer: ChatTokenizer):
    tokenizer.pretrained.chat_template = (
        "{{ messages[0]['content'] }}"
        "{% if add_generation_prompt %} robot:{% else %} human:{{ messages[1] }}{% endif %}"
    )
    with pytest.raises(UserError, match=r"has 'a robot:' where the conversation has .a human:"):
        ChatTokenizer(tokenizer.pretrained).check()


def test_a_template_that_leaves_out_the_answer_is_an_error(tokenizer: ChatTokenizer):
    tokenizer.pretrained.chat_template = "{{ messages[0]['content'] }}"
    with pytest.raises(UserError, match=r"leaves out the text 'b'"):
        ChatTokenizer(tokenizer.pretrained).check()


CALL = {"type": "function", "function": {"name": "track", "arguments": {"order": "价1"}}}
TOOLS = [{"type": "function", "function": {"name": "track", "description": "where it is"}}]


def test_tools_calls_and_results_are_written_as_qwen_writes_them(tokenizer: ChatTokenizer):
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
def test_tool_calls_and_reasoning_are_trained(
    tokenizer: ChatTokenizer, last: dict, trained_text: str
):
    turns = [{"role": "user", "content": "where?"}, {"role": "assistant", **last}]
    record = Record(messages=turns, task="t", source="a", origin="a:1", tools=TOOLS)
    example = tokenizer.encode_example(record, 1000)
    labels = [label for label in example.labels if label != chat.IGNORE_INDEX]
    assert tokenizer.pretrained.decode(labels) == trained_text
    assert tokenizer.pretrained.decode(example.input_ids).startswith("<|im_start|>system\nTools:\n")


def test_the_error_for_a_template_without_tools_names_the_row(tokenizer: ChatTokenizer):
    pretrained = copy.deepcopy(tokenizer.pretrained)
    pretrained.chat_template = pretrained.chat_template.replace("message['tool_calls']", "[]")
    pretrained.chat_template = pretrained.chat_template.replace("<|im_end|>{% endgen", "{% endgen")
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
    ]
    record = Record(messages=turns, task="t", source="a", origin="a.jsonl:7")
    with pytest.raises(
        UserError,
        match=r"^a\.jsonl:7: the base's chat template leaves out the name track of a tool call",
    ):
        ChatTokenizer(pretrained).encode_example(record, 1000)


def test_plain_text_has_labels_from_its_second_token_on(tokenizer: ChatTokenizer):
    record = Record(
        messages=[{"role": "assistant", "content": "where is it"}],
        task="t",
        source="a",
        origin="a:1",
    )
    example = tokenizer.encode_example(record, 1000)
    assert tokenizer.pretrained.decode(example.input_ids) == "<|im_end|>where is it<|im_end|>"
    assert example.labels == [chat.IGNORE_INDEX, *example.input_ids[1:]]


def test_a_template_does_not_see_the_weight_of_a_turn(tokenizer: ChatTokenizer):
    pretrained = copy.deepcopy(tokenizer.pretrained)
    pretrained.chat_template = "{% for m in messages %}{{ m | tojson }}{% endfor %}"
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": 0},
    ]
    assert "weight" not in ChatTokenizer(pretrained).render_prompt(turns)
