"""The bodies of requests: their keys, their limits, and their prompts as token ids."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from lockstep.data.rejected_rows import InvalidRowError
from lockstep.data.rows import message_parsing, tool_parsing
from lockstep.data.sources import Source
from lockstep.errors import UserError
from lockstep.models import rendered_content
from lockstep.models.chat import ChatTokenizer
from lockstep.models.chat_template import Tools
from lockstep.records import Message
from lockstep.serving.api.api_errors import ApiError
from lockstep.serving.api.request_body import check_keys, parse_object

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False, 0),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "presence_penalty": (0,),
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
}
"""Parameters of OpenAI's API and the values in which they change nothing.

Other values are refused, unless the parameter is one of the request's."""

WITHOUT_EFFECT = {"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store"}
"""Parameters of OpenAI's API that concern its service alone; they are ignored."""

_SOURCE = Source(path="request", format="messages", task="request")
"""Settings by which training reads a list of messages."""

_ANSWER: Message = {"role": "assistant", "content": "a"}


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool = False
    include_obfuscation: bool = False
    """Ignored: it hides the lengths of tokens from who watches an encrypted connection."""


class Request(BaseModel):
    """Keys that all requests have."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    user: Annotated[str, Field(max_length=256)] = ""


class GenerationRequest(Request):
    """Keys of requests that generate."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    max_completion_tokens: Annotated[int, Field(gt=0)] | None = None
    stop: (
        Annotated[str, Field(min_length=1, max_length=256)]
        | Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=4)]
        | None
    ) = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> list[str]:
        """Texts before which the answer ends."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def token_limit(self) -> int | None:
        """Maximum number of tokens of the answer."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(GenerationRequest):
    """Body of /v1/chat/completions."""

    messages: Annotated[list[Any], Field(min_length=1, max_length=1024)]
    tools: Annotated[list[Any], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto"] | None = None

    def read_messages(self) -> list[Message]:
        """Return the messages as training reads them."""
        return parse_messages(self.messages)

    def read_tools(self) -> list[dict[str, Any]]:
        """Return the functions that the model may call, as training reads them."""
        if self.tool_choice == "none":
            return []
        try:
            return tool_parsing.parse_tools(self.tools)
        except InvalidRowError as error:
            raise ApiError(
                400, str(error), f"tools: training refuses them: {error}", "tools"
            ) from None

    def encode(self, tokenizer: ChatTokenizer) -> list[int]:
        """Return the ids of the prompt."""
        return encode_messages(self.read_messages(), tokenizer, self.read_tools())


class CompletionRequest(GenerationRequest):
    """Body of /v1/completions."""

    prompt: Annotated[str, Field(min_length=1)]

    def read_messages(self) -> list[Message]:
        """Return the text as one message, for logs."""
        return [{"role": "text", "content": self.prompt}]

    def read_tools(self) -> list[dict[str, Any]]:
        """Return no function: a text calls none."""
        return []

    def encode(self, tokenizer: ChatTokenizer) -> list[int]:
        """Return the ids of a text that the model continues, as it learns plain text."""
        return [*tokenizer.encode_prompt([]), *tokenizer.encode_text(self.prompt)]


class ClassifyRequest(Request):
    """Body of /v1/classify: a text, or the messages of a conversation."""

    input: Annotated[str, Field(min_length=1)] | None = None
    messages: Annotated[list[Any], Field(min_length=1, max_length=1024)] | None = None

    def read_messages(self) -> list[Message]:
        """Return the messages; a text is one of the user."""
        if (self.input is None) == (self.messages is None):
            raise ApiError(400, "invalid_value", "give either input or messages", "input")
        return parse_messages(self.messages or [{"role": "user", "content": self.input}])


R = TypeVar("R", bound=Request)


def parse_request(body: bytes, schema: type[R]) -> R:
    """Return the request in a body; raise ApiError if it is not valid (`request_body`)."""
    return check_keys(_drop_neutral(parse_object(body), schema), schema)


def _drop_neutral(values: Mapping[str, Any], schema: type[Request]) -> dict[str, Any]:
    """Return a body without the keys that change nothing; raise ApiError where they would."""
    rest: dict[str, Any] = {}
    for name, value in values.items():
        if name in WITHOUT_EFFECT or (name in NEUTRAL and value is None):
            continue
        if name not in NEUTRAL or name in schema.model_fields:
            rest[name] = value
        elif value not in NEUTRAL[name]:
            raise ApiError(
                400,
                "unsupported_parameter",
                f"{name} is not supported with this value; leave it out",
                name,
            )
    return rest


def parse_messages(values: list[Any]) -> list[Message]:
    """Return the messages of a conversation that waits for its answer.

    Roles, parts and order are those that prepare accepts. Raise ApiError otherwise.
    """
    try:
        messages = message_parsing.parse_messages(values, "messages", _SOURCE)
        return message_parsing.check_order([*messages, _ANSWER], _SOURCE)[:-1]
    except InvalidRowError as error:
        raise ApiError(
            400, str(error), f"messages: training refuses them: {error}", "messages"
        ) from None


def encode_messages(
    messages: list[Message], tokenizer: ChatTokenizer, tools: Tools = ()
) -> list[int]:
    """Return the ids of a prompt.

    Raise ApiError if a message or a tool spells a control token, or if the template of the model
    does not write the tools.
    """
    try:
        if tools:
            _check_tools(messages, tokenizer, tools)
        return tokenizer.encode_prompt(messages, tools)
    except UserError as error:
        reason = error.message.partition(": ")[0]  # what follows has the text of the message
        raise ApiError(
            400, "refused_messages", f"messages: {reason}; remove it", "messages"
        ) from None


def _check_tools(messages: list[Message], tokenizer: ChatTokenizer, tools: Tools) -> None:
    """Raise ApiError if the template does not write tools, UserError for a control token."""
    text = json.dumps([*tools], ensure_ascii=False)
    tokenizer.render_prompt([{"role": "user", "content": text}])  # it refuses control tokens
    prompt = tokenizer.render_prompt(messages, tools)
    try:
        rendered_content.check_prompt([], tools, prompt)
    except UserError:
        raise ApiError(
            400, "tools_not_supported", "the chat template of this model writes no tools", "tools"
        ) from None
