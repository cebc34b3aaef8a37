"""Render conversations through a model's chat template, whose own text decides what is learnt."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from lockstep.errors import UserError
from lockstep.models import rendered_content
from lockstep.records import Message

Tools = Sequence[dict[str, Any]]
"""Functions that the assistant may call, in the form of `Record.tools`."""

KNOWN_MARKS = (("<think>", "</think>"), ("<|channel>thought", "<channel|>"))
"""Marks around reasoning, by which templates remove it from earlier turns (DeepSeek, Gemma 4)."""

_REASONING_OPENED = re.compile(r"(?:<([\w:]+)>|\[([A-Z]+)\])\s*$")
"""An opening mark such as <think> or [THINK] at the end of a generation prompt."""

_QUESTION: Message = {"role": "user", "content": "Where is order 4711?"}
_ANSWER = "It arrives tomorrow."
_REASONING = "The order left yesterday."
_CALL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "track_order", "arguments": {"order": "A4711"}},
}
"""A conversation that shows how a template writes each part."""

TEMPLATE_ERRORS = (
    TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError
)  # fmt: skip
"""Errors of Python that a template raises for a message in a form that it does not take."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The texts of a prompt and of the assistant's turn that follows it."""

    prompt: str
    """Text that the model reads, which is the template's generation prompt."""
    answer: str
    """Text that the template writes after it, with whatever precedes and follows the answer."""


@dataclass(frozen=True, slots=True)
class MessageForm:
    """The form in which a template takes tool calls."""

    arguments_as_text: bool = False
    """Whether the arguments of a call are JSON text, not an object."""
    null_content: bool = False
    """Whether the content of a message that only calls tools is None, not an empty text."""
    with_ids: bool = False
    """Whether calls and their results need an id of nine characters, as Mistral's do."""


class ChatTemplate:
    """The chat template of a tokenizer of transformers."""

    def __init__(self, pretrained: Any) -> None:
        self._pretrained = pretrained

    def render(
        self, messages: Sequence[Message], tools: Tools = (), generation_prompt: bool = False
    ) -> str:
        """Return the text of a conversation; raise UserError if the template refuses it."""
        from jinja2 import TemplateError

        try:
            return self._apply(messages, tools, self._choose_form(messages), generation_prompt)
        except (TemplateError, *TEMPLATE_ERRORS) as error:
            roles = ", ".join(message["role"] for message in messages)
            reason = " ".join(str(error).split())
            raise UserError(
                f"the base's chat template refuses {roles}: {reason}; change base.chat_template, "
                "or remove the row"
            ) from None

    def render_turn(self, messages: Sequence[Message], tools: Tools = ()) -> Turn:
        """Return the text before the last message and the text that the template writes for it.

        The prompt is the generation prompt, so that training and inference read the same. What the
        conversation has beyond it belongs to the answer. If the generation prompt opens a reasoning
        block that the conversation lacks, the answer closes it (DeepSeek-R1, Nemotron).
        """
        prompt = self.render(messages[:-1], tools, generation_prompt=True)
        conversation = self.render(messages, tools)
        rendered_content.check_prompt(messages[:-1], tools, prompt)
        if conversation.startswith(prompt):
            answer = conversation[len(prompt) :]
        else:
            answer = self._close_reasoning(prompt, conversation, messages[-1])
        rendered_content.check_answer(messages[-1], answer)
        return Turn(prompt, answer)

    @cached_property
    def answer_prefix(self) -> str:
        """The text between the generation prompt and an answer without reasoning."""
        return self.render_turn([_QUESTION, _build_answer()]).answer.partition(_ANSWER)[0]

    @cached_property
    def answer_suffix(self) -> str:
        """The text that the template writes after an answer."""
        return self.render_turn([_QUESTION, _build_answer()]).answer.partition(_ANSWER)[2]

    @cached_property
    def reasoning_marks(self) -> tuple[str, str] | None:
        """The texts before and after the reasoning of an answer; None if there is none.

        The first one is empty if the generation prompt ends with it.
        """
        turn = [_QUESTION, {**_build_answer(), "reasoning_content": _REASONING}]
        try:
            text = self.render_turn(turn).answer
        except UserError:
            text = ""
        before, found, rest = text.partition(_REASONING)
        between, _, _ = rest.partition(_ANSWER)
        if found and between.strip():
            return before.strip(), between.strip()
        # the template drops the reasoning of its model, or writes it before tool calls alone
        source = str(self._pretrained.get_chat_template())
        return next((marks for marks in KNOWN_MARKS if marks[1] in source), None)

    @cached_property
    def call_text(self) -> str:
        """The text of an answer that calls a tool; empty if the template takes no calls."""
        try:
            return self.render_turn([_QUESTION, _build_call_message()]).answer
        except UserError:
            return ""

    @cached_property
    def _call_form(self) -> MessageForm:
        """The first form in which the template writes a whole tool call, the plainest one first."""
        from jinja2 import TemplateError

        messages = [_QUESTION, _build_call_message(), {"role": "tool", "content": "Lyon"}]
        for as_text, null_content, with_ids in product((False, True), repeat=3):
            form = MessageForm(as_text, null_content, with_ids)
            try:
                text = self._apply(messages, (), form, generation_prompt=True)
            except (TemplateError, *TEMPLATE_ERRORS):
                continue
            is_python = "{'order'" in text
            if not is_python and rendered_content.find_missing_call(_CALL, text) is None:
                return form
        return MessageForm()

    def _apply(
        self, messages: Sequence[Message], tools: Tools, form: MessageForm, generation_prompt: bool
    ) -> str:
        """Return the text that the template writes for messages in a form.

        The tokenizer's own `apply_chat_template` would drop a content that is None.
        """
        from transformers.utils.chat_template_utils import render_jinja_template

        rendered: Any = render_jinja_template(
            [list(_adapt_messages(messages, form))],
            tools=[*tools] or None,
            chat_template=self._pretrained.get_chat_template(tools=[*tools] or None),
            add_generation_prompt=generation_prompt,
            **self._pretrained.special_tokens_map,
        )
        return rendered[0][0]

    def _choose_form(self, messages: Sequence[Message]) -> MessageForm:
        """Return the form for what the messages have; the template is tried out only for calls."""
        has_calls = any("tool_calls" in m or m["role"] == "tool" for m in messages)
        return self._call_form if has_calls else MessageForm()

    def _close_reasoning(self, prompt: str, conversation: str, answer: Message) -> str:
        """Return the answer after a generation prompt whose reasoning block it must close."""
        opened = _REASONING_OPENED.search(prompt)
        header = prompt[: opened.start()] if opened else prompt
        if not opened or not conversation.startswith(header):
            raise _build_mismatch_error(prompt, conversation, answer)
        rest = conversation[len(header) :]
        mark = opened[0].strip()
        if rest.startswith(mark):  # the template closes the block itself
            return rest.removeprefix(mark)
        close = f"</{opened[1]}>" if opened[1] else f"[/{opened[2]}]"
        return f"{answer.get('reasoning_content', '')}\n{close}\n\n{rest}"


def _adapt_messages(messages: Sequence[Message], form: MessageForm) -> Iterator[Message]:
    """Yield the messages in the form that a template takes, without their training weight."""
    calls: list[dict[str, Any]] = []
    results = 0
    for message in messages:
        adapted = {key: value for key, value in message.items() if key != "weight"}
        if "tool_calls" in message:
            adapted["tool_calls"] = []
            for call in message["tool_calls"]:
                adapted["tool_calls"].append(_adapt_call(call, form, len(calls)))
                calls.append(call)
            if form.null_content and not message["content"]:
                adapted["content"] = None
        if message["role"] == "tool":
            if results < len(calls):
                adapted.setdefault("name", calls[results]["function"]["name"])
            if form.with_ids:
                adapted["tool_call_id"] = _format_call_id(results)
            results += 1
        yield adapted


def _adapt_call(call: dict[str, Any], form: MessageForm, number: int) -> dict[str, Any]:
    """Return a tool call in the form that a template takes; `number` counts the calls before it."""
    function = call["function"]
    arguments: Any = function["arguments"]
    if form.arguments_as_text:
        arguments = json.dumps(arguments, ensure_ascii=False)
    call_id = {"id": _format_call_id(number)} if form.with_ids else {}
    return {**call, **call_id, "function": {**function, "arguments": arguments}}


def _format_call_id(number: int) -> str:
    return f"call{number:05}"


def _build_answer() -> Message:
    return {"role": "assistant", "content": _ANSWER}


def _build_call_message() -> Message:
    return {"role": "assistant", "content": "", "tool_calls": [_CALL]}


def _build_mismatch_error(prompt: str, conversation: str, answer: Message) -> UserError:
    """Return the error for a conversation that does not begin with its generation prompt."""
    start = max(0, count_equal(prompt, conversation) - 30)
    texts = (
        f"the prompt has {prompt[start : start + 80]!r} where the conversation has "
        f"{conversation[start : start + 80]!r}"
    )
    if answer.get("reasoning_content"):
        return UserError(
            f"the chat template's generation prompt leaves no room for reasoning: {texts}; allow "
            "it in base.template_options (often enable_thinking: true), or remove it from the row"
        )
    return UserError(
        f"the chat template does not continue its own generation prompt: {texts}; correct the "
        "template, or choose another one with base.chat_template"
    )


def count_equal(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return the number of items (tokens, characters) with which both sequences begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
