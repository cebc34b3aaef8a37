"""Chats that a template rendered are read as turns; their marks are never learnt."""

from typing import Any

import jinja2
import pytest

from tests.data.rows.test_row_formats import find_reason, make_turns, parse_row

SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = make_turns("Rain?\nToday?", "Yes.", "Sure?", "Yes, [sure].")
TEMPLATES = {  # as the model cards of Qwen, Llama 3, Gemma, Zephyr, Phi 3 and Llama 2 state them
    "chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}",
    "llama3": "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}"
    "<|end_header_id|>\n\n{{ m.content }}<|eot_id|>{% endfor %}",
    "gemma": "<bos>{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}"
    "<end_of_turn>\n{% endfor %}",
    "zephyr": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}",
    "phi": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "<|endoftext|>",
    "llama2": "{% for m in messages %}{% if m.role == 'system' %}{% elif m.role == 'user' %}<s>"
    "[INST] {% if loop.index == 2 and messages[0].role == 'system' %}<<SYS>>\n"
    "{{ messages[0].content }}\n<</SYS>>\n\n{% endif %}{{ m.content }} [/INST]{% else %} "
    "{{ m.content }} </s>{% endif %}{% endfor %}",
}


def render(template: str, messages: list[dict[str, str]]) -> str:
    return jinja2.Template(TEMPLATES[template], keep_trailing_newline=True).render(
        messages=messages
    )


def parse(text: str, **values: Any) -> list[dict[str, Any]]:
    return parse_row("messages", {"text": text}, columns={"messages": "text"}, **values).messages


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("messages", [TURNS, [SYSTEM, *TURNS]])
def test_turns_are_those_that_the_template_rendered(
    template: str, messages: list[dict[str, str]]
) -> None:
    assert parse(render(template, messages)) == messages
    assert find_reason("text", {"text": render(template, messages)}) == "text_is_a_conversation"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("### Human: Rain?### Assistant: Yes.### Human: Sure?### Assistant: Yes.",
         make_turns("Rain?", "Yes.", "Sure?", "Yes.")),
        ("### Human: Rain? ### Assistant: Yes.\n- one\n### Human: Sure?### Assistant: Yes.",
         make_turns("Rain?", "Yes.\n- one", "Sure?", "Yes.")),
        ("<|Human|>: Rain?<eoh>\n<|MOSS|>: Yes.<eom>\n", make_turns("Rain?", "Yes.")),
        ("[|Human|]Rain?\n[|AI|]Yes.", make_turns("Rain?", "Yes.")),
        ("<s>[INST] Rain? [/INST] Yes. </s>", make_turns("Rain?", "Yes.")),
        ("Below is an instruction that describes a task. Write a response that completes it.\n\n"
         "### Instruction:\nTranslate.\n\n### Input:\nRain\n\n### Response:\nPluie</s>",
         make_turns("Translate.\nRain", "Pluie")),
        ("### Instruction:\nTranslate.\n### Response: Pluie", make_turns("Translate.", "Pluie")),
    ],
)  # fmt: skip
def test_other_marks_are_read(text: str, expected: list[dict[str, str]]) -> None:
    assert parse(text) == expected
    assert find_reason("text", {"text": text}) == "text_is_a_conversation"


def test_calls_in_a_rendered_answer_are_calls() -> None:
    answer = '<tool_call>\n{"name": "rain", "arguments": {"city": "Bern"}}\n</tool_call>'
    (_, message) = parse(render("chatml", make_turns("Rain?", answer)))
    assert message["tool_calls"][0]["function"]["name"] == "rain"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (render("chatml", TURNS[:3]), "ends_without_answer"),
        (render("chatml", TURNS[:1]) + "<|im_start|>assistant\n", "ends_without_answer"),
        ("<|im_start|>critic\nRain?<|im_end|>\n<|im_start|>assistant\nYes.", "unknown_role"),
        ("Well. " + render("chatml", TURNS), "messages_not_turns"),
        ("### Human: a\n### Assistant: b### Human: c### Assistant: d", "unclear_transcript"),
        ("### Assistant: b### Human: c", "messages_not_turns"),
    ],
)
def test_an_unclear_rendering_is_rejected_by_name(text: str, reason: str) -> None:
    row, columns = {"text": text}, {"messages": "text"}
    assert find_reason("messages", row, columns=columns) == reason


@pytest.mark.parametrize(
    "text",
    ["### Human rights\nA text.", "# Title\n### Assistant: a job", "[INST", "<|x|> y", "<p>"],
)
def test_a_plain_text_stays_a_text(text: str) -> None:
    assert parse_row("text", {"text": text}).messages[0]["content"] == text
