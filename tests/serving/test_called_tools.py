"""Functions that a chat offers, and the calls that the model answers with."""

import asyncio
import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from lockstep.models.chat import ChatTokenizer
from lockstep.serving.api_keys import ApiKeys
from lockstep.serving.served_model import PromptEncoder
from tests.serving.conftest import Gateway, join_deltas, read_events

TRACK = {"name": "track", "parameters": {"type": "object", "properties": {"order": {}}}}
TOOLS = [{"type": "function", "function": TRACK}]
CALL = '<tool_call>\n{"name": "track", "arguments": {"order": "价1"}}\n</tool_call>'
QUESTION = {"role": "user", "content": "where?"}


@pytest.fixture
def build(tokenizer: ChatTokenizer) -> Any:
    """Function from the answer of the engine to a gateway whose template writes tools."""

    def build(answer: str) -> Gateway:
        gateway = Gateway(tokenizer, ApiKeys({}), {})
        gateway.model.context = 600
        ids = tokenizer.encode_text(answer, with_control_tokens=True)
        gateway.engine.ids = [*ids, tokenizer.end_ids[0]]
        return gateway

    return build


def ask(gateway: Gateway, **values: Any) -> Any:
    async def post() -> Any:
        body = {"messages": [QUESTION], "tools": TOOLS, **values}
        return await gateway.post("/v1/chat/completions", max_tokens=200, **body)

    return asyncio.run(post())


def read_stream(reply: Any) -> list[ChatCompletionChunk]:
    events = read_events(reply.text)
    assert events[-1] == "[DONE]"
    return [ChatCompletionChunk.model_validate(event) for event in events[:-1]]


def test_a_call_is_returned_in_the_form_of_the_client(build: Any, tokenizer: ChatTokenizer) -> None:
    gateway = build(f"I look.\n{CALL}")
    reply = ask(gateway)
    (choice,) = ChatCompletion.model_validate(reply.json()).choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I look.\n")
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("track", {"order": "价1"})
    assert gateway.engine.seen[0].prompt == tokenizer.encode_prompt([QUESTION], TOOLS)
    assert gateway.records[0].tools == TOOLS
    assert gateway.records[0].answer == f"I look.\n{CALL}"


def test_a_stream_holds_the_call_and_not_its_marks(build: Any) -> None:
    chunks = read_stream(ask(build(f"I look.\n{CALL}{CALL}"), stream=True))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "I look.\n"
    (calls,) = [delta.tool_calls for delta in deltas if delta.tool_calls]
    assert [call.index for call in calls] == [0, 1]
    assert len({call.id for call in calls}) == 2
    assert [call.function.name for call in calls if call.function] == ["track", "track"]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "answer",
    [
        "In Lyon, as far as I know.",
        CALL.replace("track", "other"),
        CALL.replace('"arguments"', '"wrong"'),
        '{"name": "Lyon", "size": 3}',
    ],
)
def test_what_is_no_call_of_an_offered_function_is_text(build: Any, answer: str) -> None:
    whole = ask(build(answer)).json()["choices"][0]
    assert (whole["finish_reason"], whole["message"]["content"]) == ("stop", answer)
    assert join_deltas(read_events(ask(build(answer), stream=True).text)) == answer


def test_text_before_a_call_is_streamed_as_it_comes(build: Any) -> None:
    chunks = read_stream(ask(build(f"{'I look it up for you now. ' * 4}{CALL}"), stream=True))
    assert sum(bool(c.delta.content) for chunk in chunks for c in chunk.choices) > 10


def test_a_call_and_its_result_are_part_of_the_next_prompt(
    build: Any, tokenizer: ChatTokenizer
) -> None:
    gateway = build("In Lyon.")
    call = {"id": "a1b2c3d4e", "type": "function"}
    call |= {"function": {"name": "track", "arguments": '{"order": "1"}'}}
    turns = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a1b2c3d4e", "content": "Lyon"},
    ]
    reply = ask(gateway, messages=[QUESTION, *turns])
    assert reply.json()["choices"][0]["message"]["content"] == "In Lyon."
    prompt = tokenizer.pretrained.decode(gateway.engine.seen[0].prompt)
    assert '<tool_call>\n{"name": "track", "arguments": {"order": "1"}}' in prompt
    assert "<|im_start|>tool\nLyon" in prompt


def test_without_a_choice_of_tools_none_is_offered(build: Any, tokenizer: ChatTokenizer) -> None:
    gateway = build(CALL)
    reply = ask(gateway, tool_choice="none")
    assert reply.json()["choices"][0]["message"]["content"] == CALL
    assert gateway.engine.seen[0].prompt == tokenizer.encode_prompt([QUESTION])


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"tools": [{"type": "function"}]}, "tool_without_name"),
        ({"tool_choice": "required"}, "invalid_value"),
        ({"tools": [{"name": "a", "description": "<|im_end|>"}]}, "control_token"),
        ({"tools": [{"name": "a"}] * 129}, "invalid_value"),
    ],
)
def test_tools_that_training_refuses_are_refused(
    build: Any, values: dict[str, Any], code: str
) -> None:
    reply = ask(build("a"), **values)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code), reply.text


def test_a_model_whose_template_writes_no_tools_refuses_them(
    build: Any, tokenizer: ChatTokenizer
) -> None:
    tokenizer.pretrained.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    reply = ask(build("a"))
    assert reply.json()["error"]["code"] == "tools_not_supported"


def test_a_control_token_of_the_model_in_a_tool_is_refused(
    build: Any, tokenizer: ChatTokenizer
) -> None:
    tokenizer.pretrained.add_special_tokens({"additional_special_tokens": ["~end~"]})
    gateway = build("a")
    gateway.model.encoder = PromptEncoder(ChatTokenizer(tokenizer.pretrained))
    reply = ask(gateway, tools=[{"name": "track", "description": "a ~end~ b"}])
    assert reply.json()["error"]["code"] == "refused_messages"
