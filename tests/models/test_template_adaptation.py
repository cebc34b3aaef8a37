"""A chat template gets variables, a date and a system message in its own text."""

from datetime import date, datetime
from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.template_adaptation import (
    TemplateOptions,
    adapt_template,
    adapt_tokenizer,
)
from lockstep.records import Message
from tests.models.chat_families import NAMES, build_pretrained, build_tokenizer, read_template

QUESTION: Message = {"role": "user", "content": "Where?"}
WITH_SYSTEM = [{"role": "system", "content": "Be brief."}, QUESTION]


def render(tokenizer: Any, messages: list[Message], **variables: Any) -> str:
    return tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, **variables
    )


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"gemma"}))
def test_a_template_without_a_date_that_takes_system_messages_stays_as_it_is(name: str):
    pretrained = build_pretrained(name)
    adapt_tokenizer(pretrained, TemplateOptions())
    if "strftime_now" not in read_template(name):
        assert pretrained.chat_template == read_template(name)


def test_a_variable_is_set_for_everybody_who_renders_the_template():
    plain, adapted = build_pretrained("qwen3"), build_pretrained("qwen3")
    adapt_tokenizer(adapted, TemplateOptions(variables={"enable_thinking": False}))
    expected = render(plain, [QUESTION], enable_thinking=False)
    assert expected.endswith("<think>\n\n</think>\n\n")
    assert render(adapted, [QUESTION]) == expected
    assert render(adapted, [QUESTION], enable_thinking=True) == render(plain, [QUESTION])


def test_variables_may_be_texts_numbers_and_null():
    template = "{{ a }}|{{ b }}|{{ c is none }}|{{ d }}"
    options = TemplateOptions(variables={"a": 'it\'s "é"', "b": 2.5, "c": None, "d": [1, True]})
    pretrained = build_pretrained("qwen3")
    pretrained.chat_template = adapt_template(template, options)
    assert render(pretrained, [QUESTION]) == 'it\'s "é"|2.5|True|[1, True]'


@pytest.mark.parametrize("name", ["enable_thinking", "assistant", "message", ""])
def test_a_variable_that_the_template_does_not_read_is_an_error(name: str):
    """Qwen 2.5 writes the word assistant, and its own loop sets message."""
    options = TemplateOptions(variables={name: False})
    with pytest.raises(UserError, match=rf"base\.template_options: {name}: .* not read it"):
        adapt_template(read_template("qwen2_5"), options)


def test_a_variable_that_every_record_sets_is_an_error():
    options = TemplateOptions(variables={"add_generation_prompt": True})
    with pytest.raises(UserError, match=r"add_generation_prompt: .* from the record; leave it out"):
        adapt_template(read_template("qwen3"), options)


def test_a_broken_template_is_reported_by_its_own_check():
    options = TemplateOptions(variables={"enable_thinking": False})
    assert adapt_template("{% for enable_thinking", options).endswith("{% for enable_thinking")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("llama3_2", "%d %b %Y"), ("gptoss", "%Y-%m-%d"), ("muse_glimmer", "%Y-%m-%d")],
)
def test_the_date_of_a_template_is_fixed(name: str, pattern: str):
    """The expected text is that of transformers on another day, with the date replaced."""
    day = date(2025, 3, 4)
    pretrained = build_pretrained(name)
    today = render(pretrained, [QUESTION]).replace(
        datetime.now().strftime(pattern), day.strftime(pattern)
    )
    adapt_tokenizer(pretrained, TemplateOptions(date=day))
    assert render(pretrained, [QUESTION]) == today
    assert day.strftime(pattern) in today
    once = pretrained.chat_template
    adapt_tokenizer(pretrained, TemplateOptions(date=date(2026, 1, 1)))
    assert pretrained.chat_template == once


def test_a_date_whose_format_is_computed_is_an_error():
    with pytest.raises(UserError, match="computes the format of today's date"):
        adapt_template("{% set f = '%d' %}{{ strftime_now(f) }}", TemplateOptions())


def test_a_template_without_system_role_joins_the_message_with_the_first_question():
    """As the documentation of Gemma says; the template of Gemma 3 does it itself."""
    adapted = build_pretrained("gemma")
    adapt_tokenizer(adapted, TemplateOptions())
    assert render(adapted, WITH_SYSTEM) == render(build_pretrained("gemma3"), WITH_SYSTEM)
    assert render(adapted, [QUESTION]) == render(build_pretrained("gemma"), [QUESTION])


def test_a_template_that_drops_system_messages_joins_them_as_well():
    pretrained = build_pretrained("qwen3")
    pretrained.chat_template = (
        "{% for m in messages if m['role'] == 'user' %}[{{ m['content'] }}]{% endfor %}"
    )
    adapt_tokenizer(pretrained, TemplateOptions())
    assert render(pretrained, WITH_SYSTEM) == "[Be brief.\n\nWhere?]"


def test_the_first_line_of_a_template_keeps_its_white_space():
    for template in ("\n\n  {{ messages[0]['content'] }}", "  {% if true %}x{% endif %}"):
        pretrained = build_pretrained("qwen3")
        pretrained.chat_template = template
        expected = render(pretrained, [QUESTION])
        options = TemplateOptions(variables={"mood": ""})
        pretrained.chat_template = adapt_template(template + "{{ mood }}", options)
        assert render(pretrained, [QUESTION]) == expected


def test_each_of_several_templates_is_adapted():
    pretrained = build_pretrained("gemma")
    pretrained.chat_template = {
        "default": read_template("gemma"),
        "tool_use": read_template("llama3_2"),
    }
    adapt_tokenizer(pretrained, TemplateOptions())
    assert all(
        pretrained.chat_template[name] != original
        for name, original in (
            ("default", read_template("gemma")),
            ("tool_use", read_template("llama3_2")),
        )
    )


def test_a_template_replaces_the_tokenizer_s_own():
    pretrained = build_pretrained("qwen3")
    adapt_tokenizer(pretrained, TemplateOptions(template=read_template("qwen2_5")))
    assert pretrained.chat_template == read_template("qwen2_5")


@pytest.mark.parametrize("name", NAMES)
def test_an_adapted_template_is_accepted_without_adaptation(name: str):
    """A server renders the template as it is in the model's folder."""
    tokenizer = build_tokenizer(name)
    again = build_pretrained(name)
    again.chat_template = tokenizer.pretrained.chat_template
    adapt_tokenizer(again, TemplateOptions())
    assert again.chat_template == tokenizer.pretrained.chat_template
