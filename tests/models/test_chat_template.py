"""Messages are passed in the form that a template takes."""

from typing import Any

import pytest

from lockstep.errors import UserError
from lockstep.models.chat_template import ChatTemplate
from lockstep.records import Message
from tests.models.chat_families import build_pretrained

QUESTION: Message = {"role": "user", "content": "Where?"}
CALL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "type": "function",
            "function": {"name": "track", "arguments": {"order": "价7", "days": 2}},
        }
    ],
}
RESULT: Message = {"role": "tool", "content": "Lyon"}

MISTRAL = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + message['content'] + '[/INST]' }}
    {%- elif message['tool_calls'] %}
        {{- '[TOOL_CALLS] [' }}
        {%- for call in message['tool_calls'] %}
            {%- if call.id is not defined or call.id|length != 9 %}
                {{- raise_exception('A call needs an id of nine characters.') }}
            {%- endif %}
            {{- call.function|tojson }}
            {{- '"' + call.id + '"' }}
        {%- endfor %}
        {{- ']' + eos_token }}
    {%- elif message['role'] == 'tool' %}
        {{- '[TOOL_RESULTS] ' + message['content'] + message.tool_call_id + '[/TOOL_RESULTS]' }}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}
"""
"""Tool calls with ids, as in Mistral's format."""


def build_template(text: str) -> ChatTemplate:
    pretrained = build_pretrained("qwen3")
    pretrained.chat_template = text
    return ChatTemplate(pretrained)


def test_arguments_are_passed_as_an_object_where_the_template_takes_one():
    answer = ChatTemplate(build_pretrained("qwen2_5")).render_turn([QUESTION, CALL]).answer
    assert '"arguments": {"order": "价7", "days": 2}' in answer


def test_arguments_are_passed_as_text_and_without_content_where_the_template_needs_that():
    """DeepSeek's template joins texts, and writes calls only if the content is null."""
    answer = ChatTemplate(build_pretrained("deepseek_r1_distill")).render_turn([QUESTION, CALL])
    assert 'track\n```json\n{"order": "价7", "days": 2}\n```' in answer.answer


def test_arguments_are_text_where_the_template_would_write_a_python_object():
    template = build_template(
        "{% for m in messages %}{{ m['content'] }}"
        "{% for c in m['tool_calls'] %}{{ c.function.name }} {{ c.function.arguments }}"
        "{% endfor %}{% endfor %}"
    )
    assert template.render_turn([QUESTION, CALL]).answer == 'track {"order": "价7", "days": 2}'


def test_calls_and_results_have_ids_where_the_template_needs_them():
    template = build_template(MISTRAL)
    messages = [QUESTION, CALL, RESULT, {"role": "assistant", "content": "In Lyon."}]
    prompt = template.render_turn(messages).prompt
    assert '"order": "价7", "days": 2}}"call00000"]' in prompt
    assert "[TOOL_RESULTS] Lyoncall00000[/TOOL_RESULTS]" in prompt


@pytest.mark.parametrize("key", ["reasoning_content", "thinking"])
def test_reasoning_is_passed_by_the_name_that_the_template_reads(key: str):
    template = build_template(
        "{% for m in messages %}{% if m." + key + " %}({{ m." + key + " }}){% endif %}"
        "{{ m['content'] }}{% endfor %}"
    )
    answer: Message = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    assert template.render_turn([QUESTION, answer]).answer == "(Hm.)Yes."


@pytest.mark.parametrize(
    ("values", "tools", "message"),
    [
        ({"content": "", "tool_calls": CALL["tool_calls"]}, [], "leaves out the name track of a"),
        ({"content": "Yes.", "reasoning_content": "Hm."}, [], "leaves out the reasoning"),
        ({"content": "Yes."}, [{"function": {"name": "track"}}], "leaves out the tool track"),
    ],
)
def test_what_a_template_leaves_out_is_an_error(
    values: dict[str, Any], tools: list[dict[str, Any]], message: str
):
    template = build_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    with pytest.raises(UserError, match=message):
        template.render_turn([QUESTION, {"role": "assistant", **values}], tools)


@pytest.mark.parametrize("name", ["qwen2_5", "lfm2_v2", "llama3_1"])
def test_arguments_with_quotes_and_line_breaks_are_found_in_the_literals_of_a_template(name: str):
    """Qwen and Llama write JSON, LFM2 writes Python."""
    function = {"name": "track", "arguments": {"note": 'it\'s "late"\n价7'}}
    call = {**CALL, "tool_calls": [{"type": "function", "function": function}]}
    assert "late" in ChatTemplate(build_pretrained(name)).render_turn([QUESTION, call]).answer


def test_an_earlier_turn_that_a_template_leaves_out_is_an_error():
    template = build_template("{% for m in messages[-2:] %}{{ m['content'] }}{% endfor %}")
    answer: Message = {"role": "assistant", "content": "Yes."}
    with pytest.raises(UserError, match=r"the text of the user turn \('First\?'\)"):
        template.render_turn([{"role": "user", "content": "First?"}, answer, QUESTION, answer])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ messages[0]['content'] + 1 }}", "can only conc"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% for i in range(10**9) %}a{% endfor %}", "Range too big"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "maximum recursion"),
        ("{{ raise_exception('no\\nsystem') }}", "no system; change base.chat_template"),
    ],
)
def test_an_error_of_a_template_is_one_line(text: str, reason: str):
    with pytest.raises(
        UserError, match=f"^the base's chat template refuses user: {reason}"
    ) as error:
        build_template(text).render([QUESTION])
    assert "\n" not in error.value.message


def test_reasoning_that_the_generation_prompt_excludes_is_an_error_with_its_own_remedy():
    answer: Message = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    template = ChatTemplate(build_pretrained("qwen3_5_nothink"))
    with pytest.raises(UserError, match=r"no room for reasoning: .*base\.template_options"):
        template.render_turn([QUESTION, answer])
