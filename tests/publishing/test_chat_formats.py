"""Known formats: which published templates they match, and the texts that Ollama makes of them."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.chat import ChatTokenizer
from lockstep.models.template_adaptation import TemplateOptions, adapt_tokenizer
from lockstep.publishing import chat_formats, go_templates
from lockstep.publishing.chat_formats import find_format
from lockstep.records import Message
from tests.conftest import REPOSITORY
from tests.models.chat_families import build_pretrained, build_tokenizer

PUBLISHED = {
    "gemma": "Gemma", "gemma3": "Gemma", "llama3": "Llama 3", "llama3_2": "Llama 3",
    "phi3": "Phi-3", "phi3_5": "Phi-3", "qwen2_5": "ChatML", "qwen3": "ChatML",
    "qwen3_5_nothink": "ChatML", "qwen3_5_think": "ChatML", "lfm2": "ChatML",
}  # fmt: skip
"""Template that TRL ships -> its format."""

TURN = "{% for m in messages %}{% if m.role == 'user' %}"
END = "{% endif %}{% endfor %}"
LLAMA_2 = (
    "{% set system = messages[0].content if messages[0].role == 'system' %}"
    "{% for m in messages if m.role != 'system' %}"
    "{% if m.role == 'user' %}{{ bos_token + '[INST] ' }}"
    "{% if loop.first and system %}{{ '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' }}{% endif %}"
    "{{ m.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}" + END
)
MISTRAL_1 = (
    "{{ bos_token }}" + TURN + "{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ m.content + eos_token + ' ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}" + END
)
MISTRAL_3 = (
    "{{ bos_token }}{% set system = messages[0].content if messages[0].role == 'system' %}"
    "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}{{ '[INST] ' }}"
    "{% if loop.last and system %}{{ system + '\\n\\n' }}{% endif %}{{ m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}" + END
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}"
)
PHI_4 = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
CHAT: list[Message] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "Who are you?"},
]


def build(template: str, adds_bos: bool = False, **special: str) -> ChatTokenizer:
    """Return a byte-level tokenizer with a template, which may add a token that begins a text."""
    from tokenizers.processors import TemplateProcessing

    pretrained: Any = build_pretrained("qwen3")
    pretrained.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>", **special})
    if adds_bos:
        pretrained.backend_tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", pretrained.bos_token_id)]
        )
    pretrained.chat_template = template
    adapt_tokenizer(pretrained, TemplateOptions())
    return ChatTokenizer(pretrained)


def render(tokenizer: ChatTokenizer) -> str:
    chat_format = find_format(tokenizer, "data/merged")
    return go_templates.render_messages(chat_format.template, CHAT)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_templates_have_their_format(name: str) -> None:
    tokenizer = build_tokenizer(name)
    chat_format = find_format(tokenizer, name)
    assert chat_format.name == PUBLISHED[name]
    ids = chat_formats.encode_prompt(chat_format, CHAT, tokenizer)
    assert (
        ids
        == tokenizer.pretrained.apply_chat_template(CHAT, add_generation_prompt=True)["input_ids"]
    )


def test_a_default_system_message_is_found() -> None:
    chat_format = find_format(build_tokenizer("qwen2_5"), "base")
    assert chat_format.system == (
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    )


@pytest.mark.parametrize("adds_bos", [False, True])
@pytest.mark.parametrize(
    ("template", "text"),
    [
        (LLAMA_2, "[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHello [/INST] Hi! </s><s>"
                  "[INST] Who are you? [/INST]"),
        (MISTRAL_1, "[INST] Be kind.\n\nHello [/INST]Hi!</s> [INST] Who are you? [/INST]"),
        (MISTRAL_3, "[INST] Hello[/INST] Hi!</s>[INST] Be kind.\n\nWho are you?[/INST]"),
    ],
)  # fmt: skip
def test_the_token_that_begins_a_text_is_there_once(
    template: str, text: str, adds_bos: bool
) -> None:
    """llama.cpp adds it if the tokenizer does."""
    tokenizer = build(template, adds_bos)
    assert render(tokenizer) == ("" if adds_bos else "<s>") + text
    expected = tokenizer.pretrained.apply_chat_template(CHAT, add_generation_prompt=True)
    chat_format = find_format(tokenizer, "base")
    assert chat_formats.encode_prompt(chat_format, CHAT, tokenizer) == expected["input_ids"]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (ZEPHYR, "<|system|>\nBe kind.</s>\n<|user|>\nHello</s>\n<|assistant|>\nHi!</s>\n"
                 "<|user|>\nWho are you?</s>\n<|assistant|>\n"),
        (PHI_4, "<|im_start|>system<|im_sep|>Be kind.<|im_end|><|im_start|>user<|im_sep|>Hello"
                "<|im_end|><|im_start|>assistant<|im_sep|>Hi!<|im_end|><|im_start|>user<|im_sep|>"
                "Who are you?<|im_end|><|im_start|>assistant<|im_sep|>"),
    ],
)  # fmt: skip
def test_formats_without_a_token_that_begins_a_text(template: str, text: str) -> None:
    assert render(build(template)) == text


@pytest.mark.parametrize(("name", "expected"), [("chatml", "ChatML"), ("plain", "plain")])
def test_the_templates_of_this_project_have_a_format(name: str, expected: str) -> None:
    template = Path(REPOSITORY, f"lockstep/hub/templates/{name}.jinja").read_text("utf-8")
    assert find_format(build(template), "base").name == expected


def test_the_starter_has_a_format(tokenizer: ChatTokenizer) -> None:
    assert find_format(tokenizer, "base").name == "ChatML"


def test_a_date_is_taken_from_the_template() -> None:
    import datetime

    tokenizer = build_tokenizer("llama3_2", date=datetime.date(2026, 3, 1))
    assert "Today Date: 01 Mar 2026\n" in find_format(tokenizer, "base").template


@pytest.mark.parametrize(
    "template",
    [
        build_pretrained("cohere").chat_template,
        PHI_4.replace("<|im_sep|>", "<|im_sep|> "),  # one blank more
        ZEPHYR.replace("'<|assistant|>\\n'", "'<|assistant|>'"),
    ],
)
def test_other_templates_are_refused(template: str) -> None:
    with pytest.raises(UserError) as error:
        find_format(build(template), "data/merged")
    assert error.value.message.startswith("data/merged: its chat template writes none of the")
    assert error.value.message.endswith(
        "use TO=folder and serve it with llama.cpp or vLLM, which render the template itself"
    )


def test_a_model_without_a_template_is_refused() -> None:
    pretrained = build_pretrained("qwen3")
    pretrained.chat_template = None
    with pytest.raises(UserError, match="data/merged: no chat template to give to Ollama"):
        find_format(ChatTokenizer(pretrained), "data/merged")
